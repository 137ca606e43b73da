/**
 * Lends a device to a server from a program that is no page: the node's side of `glet serve --edge-token`.
 *
 * @since 0.1.0
 */
export * as EdgeNode from "./EdgeNode.js"
export { edgePath, protocolsFor } from "./EdgeProtocol.js"
export * from "./EdgeSocket.js"
