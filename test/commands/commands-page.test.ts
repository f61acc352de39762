/**
 * docs/commands.md: the help of every command, as it is.
 * After a change: `STEKBAL_RECORD=1 node --test test/commands/commands-page.test.ts`, and read the difference.
 */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Command } from 'commander';
import { EXIT_CODES } from '../../src/commands/exit-codes.ts';
import { createProgram } from '../../src/commands/program.ts';

const PAGE = new URL('../../docs/commands.md', import.meta.url);
/** Leaves room for the page's own margins. */
const HELP_WIDTH = 120;

test('docs/commands.md has the help of every command, as it is', async () => {
  const page = renderPage(await createProgram());
  if (process.env.STEKBAL_RECORD !== undefined) writeFileSync(PAGE, page);
  assert.equal(readFileSync(PAGE, 'utf8'), page);
});

test('every command says what it does, in one line for the list and in its help', async () => {
  for (const { name, command } of allCommands(await createProgram())) {
    assert.ok(command.description().length > 10, name);
    assert.ok((command.summary() || command.description()).length <= 90, name);
  }
});

test('no exit code is said twice, and the main help says each', async () => {
  const codes = EXIT_CODES.map(([code]) => code);
  assert.equal(new Set(codes).size, codes.length);
  const help = helpOf(await createProgram());
  for (const code of codes) assert.match(help, new RegExp(`^ {2}${code} +\\S`, 'm'));
});

interface Named {
  readonly name: string;
  readonly command: Command;
}

function renderPage(program: Command): string {
  const sections = allCommands(program).map(
    ({ name, command }) => `## \`${name}\`\n\n\`\`\`text\n${helpOf(command).trim()}\n\`\`\`\n`,
  );
  const rows = EXIT_CODES.map(([code, meaning]) => `| ${code} | ${meaning} |`);
  return [INTRODUCTION, `| exit code | meaning |\n| --- | --- |\n${rows.join('\n')}\n`, ...sections].join('\n');
}

/** All but the program itself, parents first. */
function allCommands(parent: Command, prefix = parent.name()): Named[] {
  return parent.commands.flatMap((command) => {
    const name = `${prefix} ${command.name()}`;
    return [{ name, command }, ...allCommands(command, name)];
  });
}

/** With what stands below the options. */
function helpOf(command: Command): string {
  let help = '';
  command.configureHelp({ helpWidth: HELP_WIDTH });
  command.configureOutput({
    writeOut: (text) => {
      help += text;
    },
  });
  command.outputHelp();
  return help.replace(/[ \t]+$/gm, '');
}

const INTRODUCTION = `# Commands

<!-- Made from the commands' own help by test/commands/commands-page.test.ts: change the help, not this file. -->

\`stekbal help COMMAND\` prints what stands here. In a clone, \`npm run -s stekbal -- COMMAND\` runs a command.

Commands that ask a running edge (\`status\`, \`pool\`, \`keys\`, \`reload\`) find its admin API at \`127.0.0.1:9900\`, at
\`--admin ADDRESS\`, or where the configuration says that \`-c FILE\` names. \`stekbal completion\` makes a shell complete all of
this.
`;
