/** How a file is opened that both kinds of threads append to. */

import { constants } from 'node:fs';

const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK } = constants;

/** Never waits: a FIFO that nobody reads, which open(2) would wait at, is an error (ENXIO), as a socket is. */
export const APPEND_FLAGS = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK;
export const APPEND_MODE = 0o640;
