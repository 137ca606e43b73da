/** Which models are served, and what is said of those that are not. */
import { ModelNotFound, ModelUnavailable } from "../../core/RequestError.js"
import type { CatalogEntry, ModelCatalog } from "../ModelCatalog.js"

/** Why a name is not served: it was never found, or it was and is broken, unloaded or loading. */
export const notServed = (
  catalog: Pick<typeof ModelCatalog.Service, "find" | "index">,
  name: string,
  version: number | undefined
): ModelNotFound | ModelUnavailable => {
  const known = catalog.index().filter((line) => line.name === name)
  const line = known.find((line) => version === undefined || line.version === undefined || line.version === String(version))
  const entry = catalog.find(name)
  if (line === undefined || (entry !== undefined && version !== undefined && entry.model.version !== version && line.state === "READY")) {
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
