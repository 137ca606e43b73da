/**
 * Runs the little PTX that this project has, thread by thread, on memory of this machine: the kernel's logic can be tried where there is no GPU. Knows the
 * instructions that it has, and throws at any other.
 */

export interface Grid {
  readonly x: number
  readonly y: number
  readonly threads: number
}

type Registers = Map<string, bigint>

interface Instruction {
  /** The register that decides whether it is carried out. */
  readonly guard: string | undefined
  readonly name: string
  readonly operands: ReadonlyArray<string>
}

const mask32 = 0xffff_ffffn
const mask64 = 0xffff_ffff_ffff_ffffn

const parse = (source: string): { readonly code: ReadonlyArray<Instruction>; readonly labels: ReadonlyMap<string, number>; readonly parameter: string } => {
  const body = source.slice(source.indexOf("{") + 1, source.lastIndexOf("}"))
  const code: Array<Instruction> = []
  const labels = new Map<string, number>()
  for (const line of body.split("\n").map((each) => each.trim()).filter((each) => each !== "" && !each.startsWith(".reg"))) {
    const label = /^(\w+):$/.exec(line)
    if (label !== null) {
      labels.set(label[1]!, code.length)
      continue
    }
    const found = /^(?:@(%\w+)\s+)?([\w.]+)\s*(.*);$/.exec(line)
    if (found === null) throw new Error(`cannot read "${line}"`)
    // Braces and brackets hold together.
    const operands = found[3]!.match(/\{[^}]*\}|\[[^\]]*\]|[^,\s]+/g) ?? []
    code.push({ guard: found[1], name: found[2]!, operands })
  }
  return { code, labels, parameter: /\.param\s+\.align\s+\d+\s+\.b8\s+(\w+)\[/.exec(source)![1]! }
}

/** Runs a kernel of one parameter. `memory` is what its addresses point into. Gives the number of global loads. */
export const runPtx = (source: string, grid: Grid, parameters: DataView, memory: DataView): number => {
  const { code, labels, parameter } = parse(source)
  let loads = 0
  const runThread = (special: ReadonlyMap<string, number>): void => {
    const registers: Registers = new Map()
    const value = (operand: string): bigint => {
      if (operand === parameter) return 0n
      if (special.has(operand)) return BigInt(special.get(operand)!)
      if (!operand.startsWith("%")) return BigInt(operand) & mask64
      const found = registers.get(operand)
      if (found === undefined) throw new Error(`${operand} is read before it is written`)
      return found
    }
    const address = (operand: string): number => {
      const [base, offset = "0"] = operand.slice(1, -1).split("+")
      return Number(value(base!)) + Number(offset)
    }
    const list = (operand: string): ReadonlyArray<string> => operand.replace(/[{}\s]/g, "").split(",")
    for (let at = 0, steps = 0; at < code.length; steps++) {
      if (steps > 100_000) throw new Error("it does not end")
      const { guard, name, operands: [a = "", b = "", c = "", d = ""] } = code[at++]!
      if (guard !== undefined && value(guard) === 0n) continue
      switch (name) {
        case "mov.u32":
        case "mov.u64":
        case "cvt.u64.u32":
          registers.set(a, value(b))
          break
        case "mul.wide.u32":
          registers.set(a, value(b) * value(c) & mask64)
          break
        case "mul.lo.u32":
          registers.set(a, value(b) * value(c) & mask32)
          break
        case "mad.lo.u32":
          registers.set(a, (value(b) * value(c) + value(d)) & mask32)
          break
        case "add.u64":
          registers.set(a, (value(b) + value(c)) & mask64)
          break
        case "or.b64":
          registers.set(a, value(b) | value(c))
          break
        case "and.b64":
          registers.set(a, value(b) & value(c))
          break
        case "shl.b64":
          registers.set(a, (value(b) << value(c)) & mask64)
          break
        case "setp.ne.u64":
          registers.set(a, value(b) !== value(c) ? 1n : 0n)
          break
        case "setp.ge.u64":
          registers.set(a, value(b) >= value(c) ? 1n : 0n)
          break
        case "bra": {
          const target = labels.get(a)
          if (target === undefined) throw new Error(`there is no label ${a}`)
          at = target
          break
        }
        case "ld.param.u64":
          registers.set(a, parameters.getBigUint64(address(b), true))
          break
        case "ld.global.u8":
          loads++
          registers.set(a, BigInt(memory.getUint8(address(b))))
          break
        case "st.global.u8":
          memory.setUint8(address(a), Number(value(b)))
          break
        case "ld.global.u32":
        case "ld.global.v4.u32": {
          const targets = list(a)
          const from = address(b)
          if (from % (4 * targets.length) !== 0) throw new Error(`a load of ${4 * targets.length} bytes from ${from} is not aligned`)
          loads++
          targets.forEach((target, i) => registers.set(target, BigInt(memory.getUint32(from + 4 * i, true))))
          break
        }
        case "st.global.u32":
        case "st.global.v4.u32": {
          const sources = list(b)
          const to = address(a)
          if (to % (4 * sources.length) !== 0) throw new Error(`a store of ${4 * sources.length} bytes to ${to} is not aligned`)
          sources.forEach((from, i) => memory.setUint32(to + 4 * i, Number(value(from)), true))
          break
        }
        case "ret":
          return
        default:
          throw new Error(`"${name}" is not known here`)
      }
    }
    throw new Error("it ends without ret")
  }
  for (let y = 0; y < grid.y; y++) {
    for (let x = 0; x < grid.x; x++) {
      for (let thread = 0; thread < grid.threads; thread++) {
        runThread(new Map([["%ctaid.x", x], ["%ctaid.y", y], ["%ntid.x", grid.threads], ["%nctaid.x", grid.x], ["%tid.x", thread]]))
      }
    }
  }
  return loads
}
