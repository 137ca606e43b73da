/** Texts and figures of the pictures. */

// Control characters are not allowed in XML, however they are written; half a surrogate pair neither.
export const xml = (text: string): string =>
  [...text].map((c) => {
    if (c === "<") return "&lt;"
    if (c === ">") return "&gt;"
    if (c === "&") return "&amp;"
    if (c === "\"") return "&quot;"
    return c < " " || /[\u007f-\u009f\ufffe\uffff]|^[\ud800-\udfff]$/.test(c) ? "\ufffd" : c
  }).join("")

/** Three figures, or what stands before the point. */
export const short = (value: number): string => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2))
