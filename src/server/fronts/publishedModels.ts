/**
 * The models that fronts know: those that are served, each version of one with a number of its own. Fronts may be late by a moment: a request
 * of a model that they do not know goes to the agent, and one that was read as an older version is looked at here.
 */
import type { ModelName } from "../../core/Ids.js"
import type { Model } from "../../core/Model.js"
import type { SlotLayout } from "../../core/SlotLayout.js"
import { isReadAs, isServed } from "../internal/served.js"
import type { ModelCatalog } from "../ModelCatalog.js"
import { pageLines } from "./admissionPage.js"
import type { ToFront } from "./protocol.js"

interface Published {
  readonly number: number
  readonly line: number
  readonly model: Model
  readonly layout: SlotLayout
}

/** Numbers that are remembered after their models are gone: requests may still be on their way. */
const rememberedNumbers = 4096

const messageOf = ({ line, model, number }: Published): ToFront => ({ type: "model", number, line, model })

export class PublishedModels {
  private readonly current = new Map<string, Published>()
  private readonly byNumber = new Map<number, Published>()
  private readonly lines = new Map<string, number>()
  private numbers = 0

  /** `announce` tells all fronts. */
  constructor(
    private readonly catalog: Pick<typeof ModelCatalog.Service, "find" | "index">,
    private readonly announce: (message: ToFront) => void
  ) {}

  /** For a front that is new. */
  get messages(): ReadonlyArray<ToFront> {
    return [...this.current.values()].map(messageOf)
  }

  /** Names and lines of those that have a line in the admission page. */
  *inPage(): Iterable<readonly [name: ModelName, line: number]> {
    for (const { line, model } of this.current.values()) if (line < pageLines) yield [model.name, line]
  }

  lineOf(name: ModelName): number | undefined {
    const line = this.current.get(name)?.line
    return line !== undefined && line < pageLines ? line : undefined
  }

  /** Tells fronts what has changed since the last time. */
  sync(): void {
    for (const name of new Set([...this.current.keys(), ...this.catalog.index().map(({ name }) => name)])) this.syncModel(name)
  }

  /** The same of one model. */
  syncModel(name: string): void {
    const entry = this.catalog.find(name)
    const known = this.current.get(name)
    if (isServed(entry)) {
      if (known?.model !== entry.model) this.publish(name, entry.model, entry.layout)
    } else if (known !== undefined) {
      this.current.delete(name)
      this.announce({ type: "forget", model: name })
    }
  }

  /** What to offer a request as that was read as the model of this number; undefined where its model now takes other tensors, or is gone. */
  modelOf(number: number): Model | undefined {
    const read = this.byNumber.get(number)
    if (read === undefined) return undefined
    const entry = this.catalog.find(read.model.name)
    return isReadAs(entry, read.model) ? entry.model : undefined
  }

  /** The model of this number as it was read. */
  readAs(number: number): Model | undefined {
    return this.byNumber.get(number)?.model
  }

  private publish(name: string, model: Model, layout: SlotLayout): void {
    let line = this.lines.get(name)
    if (line === undefined) this.lines.set(name, line = this.lines.size)
    const published: Published = { number: ++this.numbers, line, model, layout }
    this.current.set(name, published)
    this.byNumber.set(published.number, published)
    const forgotten = published.number - rememberedNumbers
    const old = this.byNumber.get(forgotten)
    if (old !== undefined && this.current.get(old.model.name) !== old) this.byNumber.delete(forgotten)
    this.announce(messageOf(published))
  }
}
