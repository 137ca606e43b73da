/** How whoever runs this command gives another one: in a checkout and in a package's folder a shell does not know `glet`. */
export const commandHere = (env: Readonly<Record<string, string | undefined>>): string => {
  if (env["npm_command"] === "run" || env["npm_command"] === "run-script") return "npm run -s glet --"
  return env["npm_command"] === "exec" ? "npx glet" : "glet"
}
