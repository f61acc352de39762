/**
 * The schema of what has to do with TLS: a listener's `tls`, the ticket keys of a fleet that is migrated, and the canary.
 * Main thread.
 */

import { z } from 'zod';
import { parseServerName, parseTarget } from './addresses.ts';
import { choice, duration, notation, optionalPath, path, section } from './schema-units.ts';
import { parseText, refused } from './units.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** OpenSSL: SSL_MAX_SID_CTX_LENGTH. */
export const CONTEXT_BYTES_MAX = 32;

/** RFC 8446, section 4.6.1: no ticket is used for longer than 7 days. */
export const TICKET_LIFETIME_RANGE = { min: 1_000, max: 7 * DAY };
export const TICKET_LIFETIME_DEFAULT = '24h';

const certificateSchema = section(
  z.strictObject({
    cert_file: path({
      description:
        "Certificate chain, PEM: the server's own first, then each one's issuer. An expired one is an error; at a start it is a warning, so that a restart takes no other site down with it.",
    }),
    key_file: path({ description: 'Its private key, PEM, without a passphrase.' }),
  }),
  { description: 'A certificate and its key.', type: 'map', json: {} },
);

export const tlsSchema = section(
  z.strictObject({
    certificates: section(z.array(certificateSchema).min(1), {
      description: "Chosen by the client's SNI among their DNS names; the first is the default. Read anew on reload.",
      type: 'list of maps',
      bounds: 'at least 1',
      json: {},
    }),
    min_version: choice(['TLSv1.2', 'TLSv1.3'], { description: 'The oldest version offered.', default: 'TLSv1.2' }),
    ticket_lifetime: duration(TICKET_LIFETIME_RANGE, {
      description: 'How long a session ticket can be used (RFC 8446 allows 7 days).',
      default: TICKET_LIFETIME_DEFAULT,
    }),
    handshake_timeout: duration(
      { min: 10, max: 10 * MINUTE },
      { description: 'Time a client has for the TLS handshake.', default: '10s' },
    ),
    client_ca_file: optionalPath({
      description: 'CAs, PEM: clients must show a certificate that one of them signed. Left out: none is asked for.',
      default: null,
    }),
    session_id_context: notation<string | null>(
      'text',
      parseSessionIdContext,
      {
        description: 'As the one at top level, for this listener. With `client_ca_file`, the CAs are mixed in.',
        default: null,
        defaultText: 'that at top level',
      },
      '1 to 32 bytes',
    ),
  }),
  {
    description: 'Speak TLS on this listener. A reload takes over every change.',
    type: 'map',
    default: 'plain HTTP',
    json: {},
  },
);

export const ticketKeysSchema = section(
  z.strictObject({
    import_file: path({ description: 'The ticket key file of the fleet that is migrated.' }),
    import_format: choice(['nginx', 'haproxy', 'ats'], { description: 'Whose file it is.' }),
  }),
  {
    description:
      'Ticket keys from elsewhere: the first active key of a new cluster, so that sessions of a fleet that is migrated resume. To be taken out after that: a cluster that has lost its memory would begin with it again.',
    type: 'map',
    default: 'none',
    json: {},
  },
);

export const canarySchema = section(
  z.strictObject({
    targets: section(
      z
        .array(
          notation('address', parseTarget, { description: 'A TLS listener of the fleet.' }, '`host:port`, `[v6]:port`'),
        )
        .min(2),
      {
        description: 'TLS listeners of the fleet, each as its clients reach it.',
        type: 'list of addresses',
        bounds: 'at least 2',
        json: {},
      },
    ),
    interval: duration({ min: 1_000, max: DAY }, { description: 'Time from one round to the next.', default: '60s' }),
    server_names: section(
      z.array(notation('name', parseServerName, { description: 'A name to send as SNI.' })).default([]),
      {
        description: 'Names to send as SNI, one of them each time.',
        type: 'list of names',
        default: 'no SNI',
        json: {},
      },
    ),
  }),
  {
    description: 'Try, while serving, that a session begun at one of the targets, drawn at random, resumes at another.',
    type: 'map',
    default: 'off',
    json: {},
  },
);

/** Text of 1 to 32 bytes, which is what OpenSSL takes. */
export function parseSessionIdContext(raw: unknown) {
  const context = parseText(raw, { min: 1, max: CONTEXT_BYTES_MAX });
  const bytes = context.ok ? Buffer.byteLength(context.value) : 0;
  return bytes > CONTEXT_BYTES_MAX
    ? refused(`the text has ${bytes} bytes; write at most ${CONTEXT_BYTES_MAX}`)
    : context;
}
