// Knex in a loop. Arguments: the server's socket or host, port, the database, tenants.
const knex = require("knex");
const [host, port, database, tenants] = process.argv.slice(2);
const users = (table) => {
  table.uuid("id").primary().defaultTo(client.raw("gen_random_uuid()"));
  table.string("email", 254).notNullable().unique();
  table.string("password_hash", 255).notNullable();
  table.string("name", 255).notNullable();
  table.boolean("is_active").notNullable().defaultTo(true).index();
  table.boolean("email_verified").notNullable().defaultTo(false).index();
  table.string("verification_token", 64).index();
  table.timestamp("verification_token_expires_at");
  table.timestamp("last_login_at");
  table.timestamp("created_at").notNullable().defaultTo(client.fn.now()).index();
  table.timestamp("updated_at").notNullable().defaultTo(client.fn.now());
  table.index(["is_active", "email_verified"]);
};
const two = [
  { name: "1", up: (k, s) => k.schema.withSchema(s).createTable("users", users) },
  { name: "2", up: async () => {} },
];
const client = knex({ client: "pg", connection: { host, port, database, user: "postgres" } });
const source = (schema) => ({
  getMigrations: async () => two,
  getMigrationName: (one) => one.name,
  getMigration: async (one) => ({ up: (k) => one.up(k, schema), down: async () => {} }),
});
(async () => {
  const run = async (n) => {
    const schema = `knex_${n}`;
    await client.raw(`CREATE SCHEMA ${schema}`);
    await client.migrate.latest({ schemaName: schema, migrationSource: source(schema) });
  };
  await run("warm");
  const began = process.hrtime.bigint();
  for (let n = 0; n < Number(tenants); n++) await run(n);
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  console.log(JSON.stringify({ task: "provision", who: "Knex", tenants: Number(tenants), seconds }));
  await client.destroy();
})();
