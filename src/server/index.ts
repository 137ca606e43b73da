/**
 * The Open Inference Protocol over HTTP, the model repository, metrics.
 *
 * @since 0.1.0
 */
export * as ErrorMapping from "./ErrorMapping.js"
export * as HttpServer from "./HttpServer.js"
export * as Metrics from "./Metrics.js"
export * as ModelCatalog from "./ModelCatalog.js"
export * as ModelCatalogLive from "./ModelCatalogLive.js"
export * as ModelSettings from "./repository/ModelSettings.js"
export * as PlanThreadWorker from "./PlanThreadWorker.js"
export * as RepositoryError from "./repository/RepositoryError.js"
export * as RequestLog from "./RequestLog.js"
export * as ServerConfig from "./ServerConfig.js"
export * as ServerError from "./ServerError.js"
