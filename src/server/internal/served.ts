/** Which models are served, as what requests of them are read, and what is said of those that are not. */
import type { Model } from "../../core/Model.js"
import { ModelNotFound, ModelUnavailable } from "../../core/RequestError.js"
import type { CatalogEntry, ModelCatalog } from "../ModelCatalog.js"

/** Why a name, or a version, is not served: it was never found or is replaced, or it was and is broken, unloaded or loading. */
export const notServed = (
  catalog: Pick<typeof ModelCatalog.Service, "index">,
  name: string,
  version: number | undefined
): ModelNotFound | ModelUnavailable => {
  const known = catalog.index().filter((line) => line.name === name)
  const line = known.find((line) => version === undefined || line.version === undefined || line.version === String(version))
  if (line === undefined) {
    return new ModelNotFound({ model: name.slice(0, 256), ...(version === undefined ? {} : { version }) })
  }
  return new ModelUnavailable({
    model: line.name as ModelUnavailable["model"],
    reason: "model-not-ready",
    ...(line.reason === "" ? {} : { detail: line.reason })
  })
}

export const isServed = (entry: CatalogEntry | undefined): entry is CatalogEntry =>
  entry !== undefined && (entry.state === "READY" || entry.state === "LOADING")

/** Whether a request that was read as this model is one of what is served under its name now: as long as that takes the same tensors. */
export const isReadAs = (entry: CatalogEntry | undefined, read: Model): entry is CatalogEntry =>
  entry !== undefined &&
  (entry.model === read || entry.model.signature === read.signature || JSON.stringify(entry.model.signature) === JSON.stringify(read.signature))
