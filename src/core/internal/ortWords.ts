/** What ONNX Runtime says, in one line and without what only its own developers read: places in its source, codes, advice on its API. */

/** A file and line of its source, and the signature of the function there, whose parameters may have parentheses of their own. */
const place = /\/onnxruntime_src\/\S+:\d+ (?:[^()]*::[^()]*\((?:[^()]|\([^()]*\))*\)(?: const)? )?/g
const sourceFile = /\b[\w/]+\.(?:cc|h):\d+ (?:[A-Z]\w+ )?/g
const code = /\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : /g
const node = /Non-zero status code returned while running (\S+) node\. Name:'([^']*)' Status Message: /g
const otherShape = /The output OrtValue provided for output '(.*?)' of node '.*?' \(\S+\) has shape \{([\d,]*)\} but the computed output shape for this run is \{([\d,]*)\}\..*$/

/** One line of it. */
export const ortWords = (text: string): string => {
  const line = text
    .replace(/\s+/g, " ").trim()
    .replace(place, "").replace(code, "").replace(sourceFile, "")
    .replace(node, (_, operator: string, name: string) => `${operator} node${name === "" ? "" : ` "${name}"`}: `)
    .replace(/^Exception during initialization: /, "")
    .replace(/^Load model from .*? failed: ?/, "")
  const other = otherShape.exec(line)
  return other === null ? line : `output "${other[1]}" came with shape [${other[3]}], declared is [${other[2]}]`
}
