/** A client with a cookie: it lands on its node, at whichever edge it comes in. */

import { affinityIdOf, bodyOf, SMALL_BYTES } from '../bodies.ts';
import { type Client, Trial } from '../client.ts';
import { WireError } from '../wire-client.ts';

const VISITS_MAX = 60;
const REQUESTS_MAX = 5;
const BETWEEN_MS = 50;

/** A life with one cookie jar: visits to any edge, some requests each. */
export async function sticky(client: Client, first: Trial): Promise<void> {
  const { random, edges } = client.world;
  let node: string | null = null;
  for (let visits = random.between(5, VISITS_MAX); visits > 0 && !client.isEnding; visits--) {
    const trial = Object.assign(first, new Trial(random.pick(edges), 'sticky'));
    const connection = await client.connect(trial);
    for (let left = random.between(1, REQUESTS_MAX); left > 0 && !client.isEnding; left--) {
      const id = client.name(trial);
      const cookie = node === null ? [] : [`Cookie: other=1; X-SERVERID=${affinityIdOf(node)}`];
      connection.write(client.head(trial, 'GET', `/small/${id}`, ...cookie));
      const response = await client.expect(trial, bodyOf(id, SMALL_BYTES));
      const hasCookie = response.headers.has('set-cookie');
      const before: string | null = node;
      node = response.headers.get('x-node') ?? null;
      if (hasCookie !== (before !== node)) {
        throw new WireError('wrong', `from ${before} to ${node} with${hasCookie ? '' : 'out'} a cookie`);
      }
      if (before !== null && node !== before) {
        trial.node = before;
        throw new WireError('moved', `from ${before} to ${node}`);
      }
      client.ok();
      await client.pause(random.next() * 2 * BETWEEN_MS);
      if (!client.isKept(trial, response)) break;
    }
    connection.destroy();
  }
}
