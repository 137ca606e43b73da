/** Reads and shows values of a request's JSON. */
import { InvalidRequest } from "../../core/RequestError.js"
import { RequestRefused } from "../ServerError.js"

export type RequestProblem = InvalidRequest | RequestRefused

/** An object of a request's JSON. */
export type Json = { readonly [key: string]: unknown }

export const invalid = (field: string, problem: string): InvalidRequest => new InvalidRequest({ field, problem })
export const notImplemented = (subject: string, detail: string) => new RequestRefused({ reason: "not-implemented", subject, detail })

export const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)
/** A whole number from 0 on that is exact. */
export const isCount = (value: unknown): value is number => typeof value === "number" && Number.isSafeInteger(value) && value >= 0

/** A value as errors show it: short, and never a whole tensor. */
export const shown = (value: unknown): string => {
  if (Array.isArray(value)) return "an array"
  if (typeof value === "object") return value === null ? "null" : "an object"
  const text = typeof value === "string" ? JSON.stringify(value) : String(value)
  return text.length > 64 ? `${text.slice(0, 61)}...` : text
}

const noParameters: Json = {}

export const parametersOf = (holder: Json, field: string): Json | InvalidRequest => {
  const parameters = holder["parameters"]
  if (parameters === undefined) return noParameters
  return isObject(parameters) ? parameters : invalid(`${field}parameters`, `must be an object, found ${shown(parameters)}`)
}
