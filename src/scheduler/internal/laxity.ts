/**
 * Who goes first where models share a glet: the request with the least part of its limit left.
 *
 * By parts, not by milliseconds, this is the rule of the largest weighted delay first, under which queues stay short whenever any rule could keep them so
 * (M. Andrews et al., Providing quality of service over a shared wireless link, 2001). By milliseconds the model of the shortest SLO takes a shared glet also
 * where glets of its own have time, and one that has no other is left behind.
 */
/** The part of its limit that a request would have left if it began at `startMs` and took `executionMs`; at most 1, below 0 where it would be late. */
export const laxityOf = (startMs: number, executionMs: number, deadlineMs: number, limitMs: number): number =>
  deadlineMs === Infinity ? Number.MAX_VALUE : (deadlineMs - startMs - executionMs) / limitMs
