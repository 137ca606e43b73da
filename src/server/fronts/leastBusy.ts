/** Which front gets a client's connection. */

/** What is known of a front's work. */
interface Busyness {
  /** Connections of clients that it has. */
  readonly connections: number
  /** What it answered lately. */
  readonly recentAnswers: number
}

type Front = { readonly peer: Busyness }

/**
 * A front with the fewest connections, as each may bring as much as any other. Where several have as few, two are drawn, and it is the one that
 * answered less lately: clients with a pool often use its first connection for most of what they ask, and the first ones are not to come together.
 * Not the least of all, which stays the same while pools are opened that have asked nothing yet; so the two may be one.
 */
export const leastBusy = <F extends Front>(fronts: Iterable<F>, random: () => number): F | undefined => {
  const all = [...fronts]
  const fewest = Math.min(...all.map(({ peer }) => peer.connections))
  const equals = all.filter(({ peer }) => peer.connections === fewest)
  const draw = (): F | undefined => equals[Math.floor(random() * equals.length)]
  const [one, other] = [draw(), draw()]
  return one !== undefined && other !== undefined && other.peer.recentAnswers < one.peer.recentAnswers ? other : one
}
