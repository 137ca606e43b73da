import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
import type { BatchFile } from "../batch/BatchFiles.js"
import { listFiles } from "../batch/BatchFiles.js"
import { enterJob } from "../batch/BatchJob.js"
import type { AnswerFile } from "../batch/BatchOutput.js"
import { openAnswers } from "../batch/BatchOutput.js"
import type { BatchAnswer } from "../batch/BatchRequest.js"
import { makeBatchSender } from "../batch/BatchRequest.js"
import { CliError, usageError } from "../CliError.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { reasonOf } from "../internal/files.js"
import { linesOf } from "../internal/lines.js"
import { callServer, targetOf, urlOf } from "../internal/serverClient.js"
import { makeProgress, note, out, rps } from "../internal/terminal.js"
import type { batch } from "../specs/batch.js"

type BatchArgs = ParsedArgs<typeof batch>

interface Counts {
  /** Answered by this run, errors included. */
  answered: number
  failed: number
  /** Answered by earlier runs, and how many of those with an error. */
  before: number
  failedBefore: number
  /** Of input files that are done, and about those of the one at hand. */
  bytes: number
  inFile: number
}

/** What the reader hands on, in the order of files and their lines. */
type Step =
  | { readonly kind: "begin"; readonly answers: AnswerFile }
  /** `read`: characters of the file since the request before. */
  | { readonly kind: "request"; readonly text: string; readonly read: number; readonly answers: AnswerFile }
  | { readonly kind: "end"; readonly file: BatchFile; readonly answers: AnswerFile }

/** A batch of images, as JSON. */
const longestLine = 256 * 1024 * 1024
const goesOn = "the same command goes on where this one ends"
const inputError = (problem: string): CliError => new CliError({ reason: "input", problem, hint: goesOn })

const textsOf = (file: BatchFile): AsyncIterable<string> =>
  file.kind === "lines"
    ? (async function*() {
      for await (const { text } of linesOf(file.input, longestLine)) yield text
    })()
    : (async function*() {
      yield await fs.promises.readFile(file.input, "utf8")
    })()

/** The requests that have no answer yet. */
async function* stepsOf(files: ReadonlyArray<BatchFile>, folder: string): AsyncGenerator<Step> {
  for (const file of files) {
    const answers = openAnswers(folder, file)
    yield { kind: "begin", answers }
    let at = 0
    let read = 0
    for await (const text of textsOf(file)) {
      read += text.length + 1
      if (at++ < answers.done) continue
      // How much of a packed file that is, nobody knows.
      yield { kind: "request", text, read: file.input.endsWith(".gz") ? 0 : read, answers }
      read = 0
    }
    yield { kind: "end", file, answers }
  }
}

/** `glet batch` */
export const handle = (args: BatchArgs): Effect.Effect<void, CliError> =>
  Effect.gen(function*() {
    if (args.input.length === 0) return yield* usageError("--input is missing: name a .jsonl file or a folder")
    const target = yield* targetOf(args.server)
    const listed = listFiles(args.input, args.output)
    if ("problem" in listed) return yield* new CliError({ reason: "input", problem: listed.problem })
    // A model that is not there is said before anything is begun.
    yield* callServer(target, `v2/models/${encodeURIComponent(args.model)}`, Schema.Struct({ name: Schema.String }))
    yield* enterJob(args.output, args.model, listed.files)

    const counts: Counts = { answered: 0, failed: 0, before: 0, failedBefore: 0, bytes: 0, inFile: 0 }
    const totalBytes = listed.files.reduce((sum, { bytes }) => sum + bytes, 0)
    const startMs = performance.now()
    const seconds = (): number => (performance.now() - startMs) / 1000
    const progress = makeProgress(5000)
    const show = (): void => {
      const part = totalBytes === 0 ? 1 : Math.min(1, (counts.bytes + counts.inFile) / totalBytes)
      const failed = counts.failed === 0 ? "" : `, ${counts.failed} failed`
      progress.show(`${counts.before + counts.answered} answered (${Math.floor(100 * part)} % of the input)${failed}, ${rps(counts.answered / Math.max(seconds(), 1e-3))}/s`)
    }
    const sender = yield* Effect.acquireRelease(
      Effect.sync(() =>
        makeBatchSender(target, args.model, {
          connections: args.concurrency, patienceMs: 1000 * args.patience, onWait: (why) => progress.show(`${counts.before + counts.answered} answered; waiting: ${why}`)
        })
      ),
      (open) => Effect.sync(() => open.close())
    )

    const take = (step: Step, answer: BatchAnswer | undefined): void => {
      if (step.kind === "request") {
        step.answers.add(answer!.line)
        counts.answered++
        if (answer!.failed) counts.failed++
        counts.inFile += step.read
      } else if (step.kind === "begin") {
        counts.before += step.answers.done
        counts.failedBefore += step.answers.failed
      } else {
        step.answers.close()
        counts.bytes += step.file.bytes
        counts.inFile = 0
      }
      // What was read already says nothing of how far it is.
      if (step.kind !== "begin") show()
    }
    // Answers in the order of requests: those, and no more than are in flight, are all that is held.
    const run = Stream.fromAsyncIterable(stepsOf(listed.files, args.output), (error) => inputError(`files cannot be read or written: ${reasonOf(error)}`)).pipe(
      Stream.mapEffect((step) => Effect.map(step.kind === "request" ? sender.ask(step.text) : Effect.succeed(undefined), (answer) => [step, answer] as const), {
        concurrency: args.concurrency
      }),
      Stream.runForEach(([step, answer]) =>
        Effect.try({ try: () => take(step, answer), catch: (error) => inputError(`answers cannot be written to ${args.output}: ${reasonOf(error)}`) })
      )
    )
    const report = (complete: boolean): void => {
      progress.clear()
      const elapsed = seconds()
      const { answered, before, failed, failedBefore } = counts
      if (args.json) {
        out(JSON.stringify({
          apiVersion: "glet/v1alpha1", kind: "BatchReport", server: urlOf(target), model: args.model, output: args.output, complete,
          answered, failed, answeredBefore: before, failedBefore, seconds: elapsed, requestsPerSecond: answered / elapsed
        }))
      } else {
        const parts = [before === 0 ? "" : ` (${before} before)`, failed === 0 ? "" : `, ${failed} of them with an error`]
        out(`${answered} requests answered${parts.join("")} in ${elapsed.toFixed(1)} s, ${rps(answered / elapsed)}/s: ${args.output}`)
      }
      if (!complete) note(goesOn)
    }
    yield* run.pipe(
      Effect.onExit((exit) => Effect.sync(() => report(exit._tag === "Success")))
    )
    // Those of earlier runs too: who gives the command again until it succeeds is not to take them for answers.
    const failed = counts.failed + counts.failedBefore
    if (failed > 0) return yield* new CliError({ reason: "failed", problem: `${failed} requests have an error as their answer`, hint: `see the lines with "error" in ${args.output}` })
  }).pipe(Effect.scoped)
