/**
 * Who may use a device that runs one thing at a time, so that every glet gets its share of the time and no more: a virtual clock per glet, as
 * of Zhang's VirtualClock (SIGCOMM 1990). A run of g ms on a share p moves the glet's clock by g/p; the glet may run again when real time has
 * come there. Among those who may, the one whose clock is furthest behind goes first. A glet that had nothing to do starts from now: time that
 * was not used is not saved up. One that had to wait for others keeps its place, so a long run of a neighbour costs no share, only time.
 *
 * Pure: times come as arguments, in ms of one clock.
 *
 * @since 0.1.0
 */

/** A glet on the device. @since 0.1.0 @category duty */
export interface DutyMember {
  readonly sharePct: number
  /** When it may run next. */
  eligibleMs: number
  /** It has something to run. */
  asks: boolean
}

/** What to do now. @since 0.1.0 @category duty */
export type DutyTurn =
  | { readonly kind: "run"; readonly member: DutyMember }
  /** Nobody may before. */
  | { readonly kind: "wait"; readonly untilMs: number }
  | { readonly kind: "idle" }

/** Credit that a glet has at most for time that others took from it, ms: what is older is forgiven. */
const mostCreditMs = 1000

/** Grants the device to glets by turns, each its share of the time. @since 0.1.0 @category duty */
export class DutyCycle {
  private readonly members = new Set<DutyMember>()

  join(sharePct: number): DutyMember {
    const member = { sharePct, eligibleMs: -Infinity, asks: false }
    this.members.add(member)
    return member
  }

  leave(member: DutyMember): void {
    this.members.delete(member)
  }

  /** A glet that had nothing has something to run now. */
  ask(member: DutyMember, nowMs: number): void {
    if (!member.asks) member.eligibleMs = Math.max(member.eligibleMs, nowMs)
    member.asks = true
  }

  /** A run that took `ms` has ended; `more`: the glet has something to run still. */
  ran(member: DutyMember, ms: number, nowMs: number, more: boolean): void {
    member.eligibleMs = Math.max(member.eligibleMs + (100 * ms) / member.sharePct, nowMs - mostCreditMs)
    member.asks = more
  }

  next(nowMs: number): DutyTurn {
    let first: DutyMember | undefined
    for (const member of this.members) {
      if (member.asks && (first === undefined || member.eligibleMs < first.eligibleMs)) first = member
    }
    if (first === undefined) return { kind: "idle" }
    return first.eligibleMs <= nowMs ? { kind: "run", member: first } : { kind: "wait", untilMs: first.eligibleMs }
  }
}
