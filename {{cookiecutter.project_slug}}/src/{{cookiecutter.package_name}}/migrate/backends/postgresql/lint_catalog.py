"""Reads PostgreSQL's catalog: all objects that a migration can change, by object identifiers."""

from typing import Any

from ...lint.model import Catalog, Thing

# One row for each object: key, kind, name, key of its table or type, facts, measures. Objects of an
# extension are left out. PostgreSQL 18 lists NOT NULL among the constraints: here it
# is a fact of the column, as in older versions.
_CATALOG = """
WITH
space AS (
    SELECT oid, nspname FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
),
member AS (
    SELECT classid, objid FROM pg_depend
    WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
),
rel AS (
    SELECT c.*, space.nspname, c.oid::regclass::text AS shown, 'table:' || c.oid AS key
    FROM pg_class AS c JOIN space ON space.oid = c.relnamespace
    WHERE ('pg_class'::regclass, c.oid) NOT IN (SELECT classid, objid FROM member)
),
tab AS (SELECT * FROM rel WHERE relkind IN ('r', 'p', 'm', 'v', 'f'))
SELECT key, 'table', shown, key, jsonb_build_object(
    'kind', relkind,
    'persistence', relpersistence,
    'row_security', relrowsecurity,
    'row_security_of_owner', relforcerowsecurity,
    'unchecked', relhastriggers AND EXISTS (
        SELECT FROM pg_trigger WHERE tgrelid = tab.oid AND tgisinternal AND tgenabled = 'D'
    ),
    'writable', CASE WHEN relkind = 'v' THEN pg_relation_is_updatable(oid, true) & 28 = 28 END,
    'partition_of', CASE WHEN relispartition THEN (
        SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = tab.oid LIMIT 1
    ) END,
    'bound', pg_get_expr(relpartbound, oid),
    'query', CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) END,
    'grants', ARRAY(
        SELECT grantee::regrole || ' ' || privilege_type
        FROM aclexplode(coalesce(relacl, acldefault('r', relowner))) ORDER BY 1
    )
), jsonb_build_object(
    'schema', nspname,
    'name', relname,
    'owner', relowner::regrole,
    'file', pg_relation_filenode(oid),
    'scans', pg_stat_get_xact_numscans(oid),
    'tablespace', reltablespace,
    'partition_check', CASE WHEN relispartition THEN pg_get_partition_constraintdef(oid) END
) FROM tab
UNION ALL
SELECT 'sequence:' || oid, 'sequence', shown, '', jsonb_build_object('owned', EXISTS (
    SELECT FROM pg_depend
    WHERE classid = 'pg_class'::regclass AND objid = rel.oid AND deptype IN ('a', 'i')
)), '{}' FROM rel WHERE relkind = 'S'
UNION ALL
SELECT 'column:' || attrelid || '.' || attnum, 'column', quote_ident(attname), key,
jsonb_build_object(
    'type', format_type(atttypid, atttypmod),
    'base', CASE WHEN typtype = 'd' THEN format_type(typbasetype, typtypmod) END,
    'not_null', attnotnull,
    'default', pg_get_expr(adbin, adrelid),
    'identity', attidentity,
    'generated', attgenerated,
    'collation', CASE WHEN attcollation <> typcollation THEN attcollation::regcollation END
), jsonb_build_object('name', attname, 'type', 'type:' || atttypid)
FROM pg_attribute
JOIN tab ON tab.oid = attrelid
JOIN pg_type ON pg_type.oid = atttypid
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'index:' || rel.oid, 'index', rel.shown, tab.key, jsonb_build_object(
    'definition', pg_get_indexdef(rel.oid, 0, true),
    'unique', indisunique,
    'valid', indisvalid,
    'backs', (SELECT conname FROM pg_constraint
        WHERE conrelid = indrelid AND conindid = rel.oid AND contype IN ('p', 'u', 'x'))
), jsonb_build_object(
    'name', rel.relname,
    'file', pg_relation_filenode(rel.oid),
    'scans', pg_stat_get_xact_numscans(rel.oid),
    'child', rel.relispartition,
    'columns', ARRAY(
        SELECT attname FROM unnest(indkey) WITH ORDINALITY AS k (n, at)
        JOIN pg_attribute ON attrelid = indrelid AND attnum = n ORDER BY at
    )
)
FROM pg_index JOIN rel ON rel.oid = indexrelid JOIN tab ON tab.oid = indrelid
UNION ALL
SELECT 'constraint:' || pg_constraint.oid, 'constraint', quote_ident(conname),
coalesce(key, 'type:' || contypid),
jsonb_build_object(
    'type', contype,
    'definition', pg_get_constraintdef(pg_constraint.oid, true),
    'validated', convalidated
), jsonb_build_object(
    'child', conparentid <> 0,
    'target', 'table:' || confrelid,
    'index', 'index:' || conindid,
    'columns', ARRAY(
        SELECT attname FROM unnest(conkey) WITH ORDINALITY AS k (n, at)
        JOIN pg_attribute ON attrelid = conrelid AND attnum = n ORDER BY at
    )
)
FROM pg_constraint JOIN space ON space.oid = connamespace
LEFT JOIN tab ON tab.oid = conrelid
WHERE contype IN ('c', 'f', 'p', 'u', 'x')
UNION ALL
SELECT 'trigger:' || pg_trigger.oid, 'trigger', quote_ident(tgname), key, jsonb_build_object(
    'definition', pg_get_triggerdef(pg_trigger.oid, true),
    'enabled', tgenabled <> 'D',
    'fills_rows', tgtype & 7 = 7
), '{}'
FROM pg_trigger JOIN tab ON tab.oid = tgrelid WHERE NOT tgisinternal
UNION ALL
SELECT 'rule:' || pg_rewrite.oid, 'rule', quote_ident(rulename), key, jsonb_build_object(
    'definition', pg_get_ruledef(pg_rewrite.oid, true),
    'instead', is_instead
), '{}'
FROM pg_rewrite JOIN tab ON tab.oid = ev_class WHERE rulename <> '_RETURN'
UNION ALL
SELECT 'policy:' || pg_policy.oid, 'policy', quote_ident(polname), key, jsonb_build_object(
    'command', polcmd,
    'permissive', polpermissive,
    'using', pg_get_expr(polqual, polrelid),
    'check', pg_get_expr(polwithcheck, polrelid)
), '{}'
FROM pg_policy JOIN tab ON tab.oid = polrelid
UNION ALL
SELECT 'type:' || pg_type.oid, 'type', format_type(pg_type.oid, NULL), '',
jsonb_build_object('kind', typtype), '{}'
FROM pg_type JOIN space ON space.oid = typnamespace
LEFT JOIN pg_class ON pg_class.oid = typrelid
WHERE (typtype IN ('e', 'd', 'r') OR relkind = 'c')
AND ('pg_type'::regclass, pg_type.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'label:' || pg_enum.oid, 'label', quote_literal(enumlabel), 'type:' || enumtypid,
jsonb_build_object('type', format_type(enumtypid, NULL)), '{}'
FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid JOIN space ON space.oid = typnamespace
UNION ALL
SELECT 'function:' || pg_proc.oid, 'function', pg_proc.oid::regprocedure::text, '',
jsonb_build_object(
    'result', pg_get_function_result(pg_proc.oid),
    'kind', prokind,
    'body', md5(concat(prosrc, pg_get_function_sqlbody(pg_proc.oid)))
), '{}'
FROM pg_proc JOIN space ON space.oid = pronamespace
WHERE ('pg_proc'::regclass, pg_proc.oid) NOT IN (SELECT classid, objid FROM member)
UNION ALL
SELECT 'schema:' || oid, 'schema', quote_ident(nspname), '', '{}', '{}' FROM space
UNION ALL
SELECT 'extension:' || oid, 'extension', quote_ident(extname), '', '{}', '{}' FROM pg_extension
UNION ALL
SELECT DISTINCT 'lock:' || relation || '.' || mode, 'lock', mode, 'table:' || relation, '{}'::jsonb,
    '{}'::jsonb
FROM pg_locks LEFT JOIN pg_class ON pg_class.oid = relation
WHERE locktype = 'relation' AND pid = pg_backend_pid() AND granted AND mode <> 'AccessShareLock'
AND (pg_class.oid IS NULL OR relation IN (SELECT oid FROM tab))  -- one that is dropped stays locked
UNION ALL
SELECT 'setting:lock_timeout', 'setting', current_setting('lock_timeout'), '', '{}',
    jsonb_build_object('seconds', extract(epoch FROM current_setting('lock_timeout')::interval))
"""


def read(raw: Any) -> Catalog:
    """The catalog as seen by a connection of psycopg, with its own locks."""
    rows = raw.execute(_CATALOG).fetchall()
    owners = {row[0]: row[2] for row in rows if row[1] in ("table", "type")}
    return {
        key: Thing(kind, name, of, owners.get(of, "") if key != of else "", facts, measures)
        for key, kind, name, of, facts, measures in rows
    }
