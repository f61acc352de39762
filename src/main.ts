#!/usr/bin/env node
/**
 * The command line. Main thread.
 *
 * Exit codes: 0 done, 1 a failure at run time, 64 the command line is wrong, 78 the configuration is.
 */

const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 24) {
  process.stderr.write(`stekbal needs Node 24 or later; this is ${process.version}. "npm start" brings its own.\n`);
  process.exit(1);
}

// a reload that comes while the program starts would end it: the file is being read anyway
if (process.argv[2] === 'run') process.on('SIGHUP', () => {});

// loaded only now: an older Node could not even parse what these import
if (import.meta.url.endsWith('.ts')) (await import('./compile-cache.ts')).keepCompiled();
const { createProgram } = await import('./commands/program.ts');
const program = await createProgram(process.argv[2]);
await program.parseAsync();

export {};
