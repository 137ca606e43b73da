/** LeNet as a contract model, from the files of this package. */
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import type { Model } from "../../src/core/Model.js"
import type { Digits, LenetDigits } from "./lenetContract.js"
import { enlargeAll, lenetAt, lenetContract } from "./lenetContract.js"
import type { ContractModel } from "./requests.js"

const demo = (file: string): string => fileURLToPath(new URL(`../../resource/demo/${file}`, import.meta.url))
let loaded: LenetDigits | undefined

/** The 500 held-out digits as the network's inputs, with their labels. */
export const lenetDigits = (): LenetDigits => loaded ??= enlargeAll(JSON.parse(fs.readFileSync(demo("digits-test.json"), "utf8")) as Digits)

/** LeNet, version 1, latency-critical. */
export const lenetModel: Model = lenetAt(demo("lenet-digits.onnx"), fs.statSync(demo("lenet-digits.onnx")).size)

/** LeNet with its digits. Request `seed` holds the digits `seed`, `seed + 1`, … */
export const lenet: ContractModel = lenetContract(lenetModel, lenetDigits)
