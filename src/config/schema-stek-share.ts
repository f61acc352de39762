/**
 * The schema of Traffic Server's stek_share options and of its server list: its names, meanings and defaults.
 * Source: plugins/experimental/stek_share/stek_share.cc and doc/admin-guide/plugins/stek_share.en.rst. Main thread.
 */

import { z } from 'zod';
import { parseHost } from './addresses.ts';
import { integer, notation, path, section, text } from './schema-units.ts';

const ID_RANGE = { min: 1, max: 2_147_483_647 };
const PORT_RANGE = { min: 1, max: 65_535 };
const MS_RANGE = { min: 10, max: 60_000 };
const ITEMS_RANGE = { min: 1, max: 10_000 };
/** A group larger than this waits long for its majority. */
const SERVERS_MAX = 64;

/** Traffic Server's defaults for what may be left out and is compared with something else, in ms. */
export const TIMING_DEFAULTS = {
  heart_beat_interval: 100,
  election_timeout_lower_bound: 200,
  election_timeout_upper_bound: 400,
} as const;

export const stekShareSchema = section(
  z.strictObject({
    server_id: integer(ID_RANGE, { description: 'This machine; unique in the group.' }),
    address: notation('host', parseHost, { description: 'Where this machine listens for its peers.' }),
    port: integer(PORT_RANGE, { description: 'The port for peers.' }, 'port'),
    asio_thread_pool_size: integer(
      { min: 1, max: 1024 },
      { description: 'Accepted for compatibility; has no effect here.', default: '4' },
    ),
    heart_beat_interval: integer(
      MS_RANGE,
      {
        description: 'How often the leader lets itself be heard; less than `election_timeout_lower_bound`.',
        default: String(TIMING_DEFAULTS.heart_beat_interval),
      },
      'ms',
    ),
    election_timeout_lower_bound: integer(
      MS_RANGE,
      {
        description: 'Shortest silence of the leader before an election.',
        default: String(TIMING_DEFAULTS.election_timeout_lower_bound),
      },
      'ms',
    ),
    election_timeout_upper_bound: integer(
      MS_RANGE,
      {
        description: 'Longest such silence.',
        default: String(TIMING_DEFAULTS.election_timeout_upper_bound),
      },
      'ms',
    ),
    reserved_log_items: integer(
      { min: 0, max: ITEMS_RANGE.max },
      { description: 'Log entries kept in front of the last snapshot.', default: '5' },
      'entries',
    ),
    snapshot_distance: integer(
      ITEMS_RANGE,
      { description: 'Log entries from one snapshot to the next.', default: '5' },
      'entries',
    ),
    client_req_timeout: integer(
      { min: 1, max: 600_000 },
      { description: 'Time a proposal has to be committed.', default: '3000' },
      'ms',
    ),
    key_update_interval: integer(
      { min: 1, max: 2_592_000 },
      { description: 'Time from one ticket key to the next.' },
      'seconds',
    ),
    server_list_file: path({ description: 'A YAML list of the group, this machine included.' }),
    root_cert_file: path({ description: "The CA that signed every peer's certificate, PEM." }),
    server_cert_file: path({ description: "This machine's certificate for its peers, PEM." }),
    server_key_file: path({ description: 'Its private key, PEM.' }),
    cert_verify_str: text(
      { min: 0, max: 1024 },
      {
        description: "What a peer's certificate subject must be, such as `/C=US/CN=localhost`; empty: any.",
        default: '',
        defaultText: 'empty',
      },
    ),
  }),
  {
    description: "Traffic Server's `stek_share` options.",
    type: 'map or path',
    default: 'none',
    json: {},
  },
);

export const serverListSchema = z
  .array(
    section(
      z.strictObject({
        server_id: integer(ID_RANGE, { description: 'The machine; unique in the list.' }),
        address: notation('host', parseHost, { description: 'Where it listens for its peers.' }),
        port: integer(PORT_RANGE, { description: 'Its port for peers.' }, 'port'),
      }),
      { description: 'One machine of the group.', type: 'map', json: {} },
    ),
  )
  .min(1)
  .max(SERVERS_MAX);
