/** The end of a worker, which may be noticed in several ways, told once. */
export const exitOnce = (onExit: (detail: string) => void): (detail: string) => void => {
  let exited = false
  return (detail) => {
    if (exited) return
    exited = true
    onExit(detail)
  }
}
