/**
 * The end of a turn of the event loop: when all that has come in it has been read. Listener threads.
 *
 * What is written then, in a row, costs less than what is written in between reading: the code of either stays in the
 * processor's caches, the other side is woken once for all, and what goes to one connection goes in one call.
 */

/** Something to do at the end of the turn. */
export interface AtTurnEnd {
  onTurnEnd(): void;
}

const waiting: AtTurnEnd[] = [];

/** Calls `task.onTurnEnd` once, after this turn's reads, or later in the turn's end where that has begun. */
export function atTurnEnd(task: AtTurnEnd): void {
  if (waiting.length === 0) setImmediate(endTurn);
  waiting.push(task);
}

function endTurn(): void {
  let done = 0;
  try {
    // those that come meanwhile are done, too
    while (done < waiting.length) (waiting[done++] as AtTurnEnd).onTurnEnd();
  } finally {
    waiting.splice(0, done);
    if (waiting.length > 0) setImmediate(endTurn);
  }
}
