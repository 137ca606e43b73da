declare module "*.css"

/** The address of a worker, bundled to a file of its own (vite.config.ts). */
declare module "*?worker-file" {
  const address: string
  export default address
}
