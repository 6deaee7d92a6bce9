// The visitor's cookies, as Next.js gives them to a server component; see run.cjs.
exports.cookies = async () => ({
  get: (name) => {
    const value = globalThis.visitor.get(name);
    return value === undefined ? undefined : { name, value };
  },
});
