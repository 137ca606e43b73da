/** Writes resource/schema/ anew: `npx vite-node --script scripts/make-schemas.ts`. A test fails while it is out of date. */
import * as fs from "node:fs"
import * as path from "node:path"
import { schemaFiles, schemaFolder } from "./schemas.js"

fs.mkdirSync(schemaFolder, { recursive: true })
for (const [file, text] of schemaFiles()) fs.writeFileSync(path.join(schemaFolder, file), text)
