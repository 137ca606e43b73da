/**
 * Exit codes of `glet`, the same for every command.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category exit */
export const ExitCode = {
  done: 0,
  failed: 1,
  usage: 2,
  infeasible: 3,
  unhealthy: 4,
  /** By SIGINT: 128 + 2. */
  interrupted: 130,
  /** By SIGTERM: 128 + 15. */
  terminated: 143
} as const
