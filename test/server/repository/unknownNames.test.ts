import * as Effect from "effect/Effect"
import { assert, describe, it } from "@effect/vitest"
import { readSettings } from "../../../src/server/repository/ModelSettings.js"
import { scanRepository } from "../../../src/server/repository/Scan.js"
import { unknownNames } from "../../../src/server/repository/unknownNames.js"
import { folderOf } from "./folder.js"

describe("unknownNames", () => {
  it.scoped("names settings of models that are not there, and which was meant", () =>
    Effect.gen(function*() {
      const settings = JSON.stringify({ apiVersion: "glet/v1alpha1", models: { resnet5: { sloMs: 50 }, bert: { sloMs: 5 } } })
      const directory = yield* folderOf({ "resnet50.onnx": "", "bert.onnx": "", "glet.json": settings })
      const found = yield* scanRepository(directory, { followLinks: false })
      assert.deepStrictEqual(unknownNames(found, yield* readSettings(directory), new Map([["bert", {}], ["zzz", {}]])), [
        "flags name a model \"zzz\" that is not in the repository",
        "glet.json names a model \"resnet5\" that is not in the repository; did you mean \"resnet50\"?"
      ])
    }))
})
