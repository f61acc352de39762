/**
 * A reader of the key board's stress test: copies the ring by the epoch protocol without pause, and checks each copy. A
 * worker thread; posts what it counted at the end.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { halfOf, loadEpoch } from '../../../src/boards/epoch.ts';
import { KEY_HALF, KEY_RECORD, KeyBoard } from '../../../src/boards/key-board.ts';
import { CONTROL, faultOf, ofStamp } from './key-versions.ts';

export interface KeyReaderTask {
  readonly buffer: SharedArrayBuffer;
  readonly control: Int32Array;
}

export interface KeyReaderResult {
  /** Copies that were whole, by the epoch. */
  readonly copies: number;
  /** A copy that holds words of two versions, or an older version than one before; null where there was none. */
  readonly fault: string | null;
}

const { buffer, control } = workerData as KeyReaderTask;
const board = new KeyBoard(buffer);
const { words } = board;

/** The header and as many records as it says; null where it was overtaken. */
function copyRing(): Int32Array | null {
  const epoch = loadEpoch(board);
  const half = halfOf(board, epoch);
  const count = Atomics.load(words, half + KEY_HALF.keys);
  const image = new Int32Array(Math.min(KEY_HALF.words + count * KEY_RECORD.words, board.halfWords));
  for (let i = 0; i < image.length; i++) image[i] = Atomics.load(words, half + i);
  return loadEpoch(board) === epoch ? image : null;
}

function run(): KeyReaderResult {
  let copies = 0;
  let newest = 0;
  let fault: string | null = null;
  while (fault === null && Atomics.load(control, CONTROL.stop) === 0) {
    const image = copyRing();
    if (image === null) {
      Atomics.add(control, CONTROL.overtaken, 1);
      continue;
    }
    copies++;
    fault = faultOf(image);
    const version = ofStamp(image);
    if (version < newest) fault ??= `version ${version} after ${newest}`;
    newest = version;
  }
  Atomics.store(control, CONTROL.stop, 1);
  return { copies, fault };
}

Atomics.store(control, CONTROL.ready, 1);
parentPort?.postMessage(run());
