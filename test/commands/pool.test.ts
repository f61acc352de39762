/** What is wrong with a command line of `stekbal pool` is said before anything is asked. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { poolCommand } from '../../src/commands/pool.ts';

const WRONG: Readonly<Record<string, RegExp>> = {
  'demo drian a:1': /there is no action "drian"; did you mean "drain"\?/,
  'demo drain': /name the node: stekbal pool demo drain 10\.0\.0\.1:80, say/,
  'demo drain 10.0.0:80': /not an IPv4 address/,
  'demo add ::1': /without brackets/,
  'demo add a:1 --weight 0': /1 to 256/,
  'demo add a:1 --weight many': /not a whole number/,
  'demo drain a:1 --weight 1': /--weight goes with add/,
  'demo list a:1': /list takes no node/,
  'demo list --wait': /--wait goes with drain/,
  'demo drain a:1 --timeout 5m': /--timeout goes with --wait/,
  'demo drain a:1 --wait --timeout 5': /has no unit; write 5s/,
  '--local': /--local goes with what changes a node/,
  'demo drain a:1 b:1': /too many arguments/,
};

for (const [line, message] of Object.entries(WRONG)) {
  test(`stekbal pool ${line}`, async () => {
    const said: string[] = [];
    const command = poolCommand().exitOverride();
    command.configureOutput({ writeErr: (text) => said.push(text) });
    await assert.rejects(command.parseAsync(line.split(' '), { from: 'user' }), { exitCode: 1 });
    assert.match(said.join(''), message);
  });
}
