/** JSON Schemas of the project's file formats, generated from what decodes them. */
import * as JSONSchema from "effect/JSONSchema"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { HardwareDescription } from "../src/simulator/Hardware.js"
import { Scenario } from "../src/simulator/Scenario.js"

export const schemaFolder = path.join(path.dirname(fileURLToPath(import.meta.url)), "../resource/schema")

/** File names and their texts. */
export const schemaFiles = (): ReadonlyMap<string, string> =>
  new Map([["scenario.schema.json", Scenario], ["hardware.schema.json", HardwareDescription]].map(([file, schema]) => [
    file as string, `${JSON.stringify(JSONSchema.make(schema as typeof Scenario), null, 2)}\n`
  ]))
