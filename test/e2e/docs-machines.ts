/**
 * Machines as docs/deploying.md has them, each a folder and an address of the loopback. What a reader types runs in bash, as it
 * stands, but for paths, addresses and ports; programs that need root or another machine are replaced by scripts that do the
 * same here: sudo, groupadd, install (no owners), scp, systemctl.
 */

import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from './cluster-network.ts';
import { COMPILE_CACHE, MAIN, temporaryFolder } from './harness.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const EDGES = [1, 2, 3, 4];
/** Bounds what hangs. */
const BLOCK_MS_MAX = 60_000;

/** Each begins as a bash script; $EDGE is the machine's folder, $ROOT that of all. */
const PROGRAMS: Readonly<Record<string, string>> = {
  stekbal: 'exec "$NODE" "$MAIN" "$@"',
  sudo: 'exec "$@"',
  groupadd: '',
  install: `args=()
while [ $# -gt 0 ]; do
  case "$1" in
    -o | -g) shift 2 ;;
    *) args+=("$1"); shift ;;
  esac
done
exec /usr/bin/install "\${args[@]}"`,
  // the last word is MACHINE: ; what comes there is as that machine needs it
  scp: `machine="\${!#%:}"
for file in "\${@:1:$#-1}"; do sed -f "$ROOT/$machine/here.sed" "$file" > "$ROOT/$machine/home/\${file##*/}"; done`,
  systemctl: `case "$1" in
  start)
    mkdir -p "$EDGE/run/stekbal"
    "$NODE" "$MAIN" run -c "$EDGE/etc/stekbal/stekbal.yaml" > /dev/null 2> "$EDGE/log" & echo $! > "$EDGE/pid"
    until grep -q '"msg":"serving"' "$EDGE/log"; do kill -0 "$(cat "$EDGE/pid")" || exit 1; sleep 0.05; done ;;
  reload) curl --silent --fail --request POST --unix-socket "$EDGE/run/stekbal/admin.sock" http://localhost/reload ;;
  disable)
    kill "$(cat "$EDGE/pid")"
    until grep -q '"msg":"drained"' "$EDGE/log"; do sleep 0.05; done ;;
esac`,
};

type Pair = readonly [from: string, to: string];

export class Machines {
  readonly root: string;
  readonly #here: ReadonlyMap<string, readonly Pair[]>;

  /** `backends` stand for those of the page, in its order. */
  static async create(t: TestContext, backends: readonly string[]): Promise<Machines> {
    // one port on all addresses, as the page has it
    const ports: number[] = [];
    while (ports.length < 3) ports.push(await freePort());
    const [peers = 0, http = 0, https = 0] = ports;
    let machines: Machines | null = null;
    // before the folder goes: it says who they are
    t.after(() => {
      if (machines !== null) machines.#kill();
    });
    machines = new Machines(temporaryFolder(t), backends, { peers, http, https });
    return machines;
  }

  private constructor(root: string, backends: readonly string[], ports: Record<string, number>) {
    this.root = root;
    const common: Pair[] = [
      ['/usr/local/lib/node_modules/stekbal', ROOT.slice(0, -1)],
      ...backends.map((address, i): Pair => [`10.20.20.10${i}:80`, address]),
      ...[...EDGES, '$n'].map((n): Pair => [`10.0.0.${n}:443`, `10.0.0.${n}:${ports.https}`]),
      ['10.0.0.', '127.0.0.'],
      ['10001', `${ports.peers}`],
    ];
    const here = new Map<string, Pair[]>();
    here.set('desk', [...common, ['config/three-edges', join(ROOT, 'config/three-edges')]]);
    for (const n of EDGES) {
      const paths = ['/etc/stekbal', '/etc/systemd/system', '/run/stekbal'];
      const own = paths.map((path): Pair => [path, this.path(`edge${n}`, path)]);
      const listen = ['https', 'http'].map((name): Pair => [`fd:${name}`, `127.0.0.${n}:${ports[name]}`]);
      here.set(`edge${n}`, [...common, ...own, ...listen]);
    }
    this.#here = here;
    this.#lay();
  }

  /** Where a machine has a path of the page. */
  path(machine: string, path: string): string {
    return join(this.root, machine, path);
  }

  /** Types it on one machine. Resolves to what was printed; rejects, with all of it, where a command failed. */
  async type(machine: string, script: string): Promise<string> {
    const edge = join(this.root, machine);
    const env = {
      ...process.env,
      PATH: `${join(this.root, 'bin')}:${process.env.PATH}`,
      NODE_COMPILE_CACHE: COMPILE_CACHE,
      NODE: process.execPath,
      EDGE: edge,
      ROOT: this.root,
      MAIN,
    };
    const lines = this.#asHere(machine, script);
    const options = { cwd: join(edge, 'home'), env, timeout: BLOCK_MS_MAX };
    const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', lines], options);
    return stdout;
  }

  /** The log of a machine's edge. */
  log(machine: string): string {
    const file = join(this.root, machine, 'log');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  #asHere(machine: string, text: string): string {
    return (this.#here.get(machine) ?? []).reduce((all, [from, to]) => all.replaceAll(from, to), text);
  }

  #lay(): void {
    mkdirSync(join(this.root, 'bin'));
    for (const [name, script] of Object.entries(PROGRAMS)) {
      const file = join(this.root, 'bin', name);
      writeFileSync(file, `#!/bin/bash\nset -eu\n${script}\n`);
      chmodSync(file, 0o755);
    }
    for (const [machine, pairs] of this.#here) {
      mkdirSync(join(this.root, machine, 'home'), { recursive: true });
      mkdirSync(this.path(machine, '/etc/systemd/system'), { recursive: true });
      const lines = pairs.map(([from, to]) => `s|${from.replaceAll('.', '\\.')}|${to}|g\n`);
      writeFileSync(join(this.root, machine, 'here.sed'), lines.join(''));
    }
  }

  /** All that still runs. */
  #kill(): void {
    for (const machine of this.#here.keys()) {
      const file = join(this.root, machine, 'pid');
      if (existsSync(file)) kill(Number(readFileSync(file, 'utf8')));
    }
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has ended
  }
}
