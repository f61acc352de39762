/** Why an address cannot be listened on, for the operator. Pure; main thread. */

import { type Config, formatListenAddress } from '../config/config.ts';
import { formatDiagnostic } from '../config/diagnostics.ts';
import type { ListenError } from './thread-link.ts';

const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there; stop it, or choose another port',
  EACCES: 'not permitted; ports below 1024 need CAP_NET_BIND_SERVICE or root',
  EADDRNOTAVAIL: 'this machine has no such address',
  EMFILE: 'no file descriptor is left; raise LimitNOFILE (ulimit -n)',
  ENOTFOUND: 'the host name is not known',
};

/** What an operator can do about a system error; the code alone where that is not known. */
export function adviceFor(code: string): string {
  return code in ADVICE ? `${code}: ${ADVICE[code]}` : code;
}

/** `FILE:LINE:COLUMN: ...`, with the listener's place in `config`. */
export function explainListenError(error: ListenError, config: Config): string {
  const listener = config.listeners[error.listener];
  if (listener === undefined) return `${error.message}: ${adviceFor(error.code)}`;
  const { path, address } = listener;
  const what = `cannot listen on ${formatListenAddress(address)}`;
  const why = error.code in ADVICE ? adviceFor(error.code) : `${error.code}: ${error.message}`;
  return formatDiagnostic({ ...path, severity: 'error', message: `${what}: ${why}` });
}
