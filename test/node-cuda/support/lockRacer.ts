/** Goes for locks, each at the same moment as its rivals: FOLDER ROUNDS PROCESSES INDEX. Tells which it has, and lives until its input ends. */
import * as fs from "node:fs"
import * as path from "node:path"
import { takeLock } from "../../../src/node-cuda/internal/lockFile.js"

const [folder, rounds, processes, index] = process.argv.slice(2) as [string, string, string, string]
const file = (round: number, who: number): string => path.join(folder, `ready${round}.${who}`)
const won: Array<number> = []
for (let round = 0; round < Number(rounds); round++) {
  fs.writeFileSync(file(round, Number(index)), "")
  for (let rival = 0; rival < Number(processes); rival++) while (!fs.existsSync(file(round, rival)));
  if (takeLock(path.join(folder, `lock${round}`)) === undefined) won.push(round)
}
process.stdout.write(`${JSON.stringify(won)}\n`)
process.stdin.resume()
