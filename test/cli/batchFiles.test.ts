/** Files of a job, and what an output folder remembers of them. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { BatchFile } from "../../src/cli/batch/BatchFiles.js"
import { listFiles } from "../../src/cli/batch/BatchFiles.js"
import { enterJob } from "../../src/cli/batch/BatchJob.js"
import { openAnswers } from "../../src/cli/batch/BatchOutput.js"
import { linesOf } from "../../src/cli/internal/lines.js"

const root = fs.mkdtempSync(path.join(os.tmpdir(), "glet-batch-"))
afterAll(() => fs.rmSync(root, { recursive: true, force: true }))
let folders = 0
const makeFolder = (): { readonly input: string; readonly output: string } => {
  const folder = path.join(root, String(++folders))
  fs.mkdirSync(path.join(folder, "in"), { recursive: true })
  return { input: path.join(folder, "in"), output: path.join(folder, "out") }
}
const filesOf = (input: string, output: string): ReadonlyArray<BatchFile> => {
  const listed = listFiles([input], output)
  assert("files" in listed, JSON.stringify(listed))
  return listed.files
}
const entered = (output: string, files: ReadonlyArray<BatchFile>) => Effect.scoped(enterJob(output, "m", files))
const doneOf = (output: string, file: BatchFile): number => {
  const answers = openAnswers(output, file)
  answers.close()
  return answers.done
}

describe("files of a job", () => {
  it("are those of a folder and what links there lead to, without hidden ones", () => {
    const { input, output } = makeFolder()
    fs.writeFileSync(path.join(input, "elsewhere.txt"), "{}")
    fs.symlinkSync(path.join(input, "elsewhere.txt"), path.join(input, "two.json"))
    fs.writeFileSync(path.join(input, "one.json"), "{}")
    fs.writeFileSync(path.join(input, ".glet-batch.json"), "{}")
    fs.mkdirSync(path.join(input, "folder.json"))
    assert.deepStrictEqual(filesOf(input, output).map((file) => file.output), ["one.json", "two.json"])
  })

  it.live("one that changed is answered anew, however old it says it is; one beside it is not", () =>
    Effect.gen(function*() {
      const { input, output } = makeFolder()
      for (const name of ["one.json", "two.json"]) fs.writeFileSync(path.join(input, name), "{}")
      const files = filesOf(input, output)
      yield* entered(output, files)
      for (const file of files) openAnswers(output, file).add("{}")
      fs.writeFileSync(path.join(input, "one.json"), "{ }")
      fs.utimesSync(path.join(input, "one.json"), 1, 1)
      yield* entered(output, filesOf(input, output))
      assert.deepStrictEqual(files.map((file) => doneOf(output, file)), [0, 1])
    }))

  it.live("are not taken for answered by what was in the folder before", () =>
    Effect.gen(function*() {
      for (const name of ["one.json", "many.jsonl"]) {
        const { input, output } = makeFolder()
        fs.writeFileSync(path.join(input, name), "{}\n")
        fs.mkdirSync(output)
        fs.writeFileSync(path.join(output, name), "someone else's")
        const refused = yield* Effect.flip(entered(output, filesOf(input, output)))
        assert.include(refused.message, "is there already and is no answer of this job")
        assert.strictEqual(fs.readFileSync(path.join(output, name), "utf8"), "someone else's")
      }
    }))
})

describe("lines", () => {
  it.live("come out whole, however long they are, up to a limit", () =>
    Effect.promise(async () => {
      const file = path.join(root, "long.jsonl")
      const long = "x".repeat(1 << 20)
      fs.writeFileSync(file, `a\n\n${long}\r\n${long}é\nlast`)
      const lines: Array<string> = []
      for await (const { text } of linesOf(file)) lines.push(text)
      assert.deepStrictEqual(lines, ["a", `${long}\r`, `${long}é`, "last"])
      let problem = ""
      try {
        for await (const _ of linesOf(file, 1000)) continue
      } catch (error) {
        problem = String(error)
      }
      assert.include(problem, "line 3 has more than 1000 characters")
    }))

  it("say how many of their answers are errors, wherever a line begins", () => {
    const { input, output } = makeFolder()
    fs.writeFileSync(path.join(input, "a.jsonl"), "")
    const [file] = filesOf(input, output)
    const error = JSON.stringify({ error: "no", status: 400 })
    const answer = JSON.stringify({ model_name: "m", error: "in a name", outputs: [] })
    // Lengths that put the beginnings of lines on both sides of every boundary at which a file is read in pieces.
    fs.mkdirSync(output)
    for (const padding of [0, 4, 15, 20]) {
      const filler = `${JSON.stringify({ model_name: "x".repeat((1 << 20) - answer.length - error.length - 40 + padding) })}`
      fs.writeFileSync(path.join(output, file!.output), [answer, error, filler, error, error, answer, error, ""].join("\n") + error.slice(0, 12))
      const answers = openAnswers(output, file!)
      answers.close()
      assert.deepStrictEqual([answers.done, answers.failed], [7, 4], String(padding))
    }
  })
})
