/** What a configuration text says, with positions, before anybody asked what it should say. Two front ends: protobuf text format and JSON. */

/** From 1. */
export interface Position {
  readonly line: number
  readonly column: number
}

export type TextNode =
  | { readonly kind: "scalar"; readonly form: "string" | "number" | "word"; readonly text: string; readonly at: Position }
  | { readonly kind: "list"; readonly items: ReadonlyArray<TextNode>; readonly at: Position }
  | { readonly kind: "message"; readonly fields: ReadonlyArray<TextField>; readonly at: Position }

export interface TextField {
  readonly name: string
  readonly value: TextNode
  readonly at: Position
}

/** The text is not what its format demands. */
export class TextError extends Error {
  constructor(readonly at: Position, message: string, readonly kind: "invalid" | "unsupported" = "invalid", readonly field?: string) {
    super(message)
  }
}

/** Blocks within blocks. */
export const deepestText = 64

/** A text and a place in it; the one thing both front ends advance. */
export class TextCursor {
  index = 0
  private line = 1
  private lineStart = 0

  constructor(readonly text: string) {}

  get at(): Position {
    return { line: this.line, column: this.index - this.lineStart + 1 }
  }

  /** The character here; empty at the end. */
  peek(): string {
    return this.text[this.index] ?? ""
  }

  advance(count = 1): void {
    for (let i = 0; i < count; i++) {
      if (this.text[this.index++] === "\n") {
        this.line++
        this.lineStart = this.index
      }
    }
  }

  /** What the sticky pattern matches here, consumed; empty where it does not. */
  take(pattern: RegExp): string {
    pattern.lastIndex = this.index
    const found = pattern.exec(this.text)?.[0] ?? ""
    this.advance(found.length)
    return found
  }

  fail(expected: string, at = this.at): never {
    const found = this.index >= this.text.length ? "the end of the file" : JSON.stringify(this.peek())
    throw new TextError(at, `expected ${expected}, found ${found}`)
  }
}
