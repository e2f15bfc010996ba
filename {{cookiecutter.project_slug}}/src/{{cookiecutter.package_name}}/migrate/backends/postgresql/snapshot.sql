-- The objects of the schemas :schemas, as rows (schema, kind, name, definition). snapshot.py
-- explains definitions, and sets the settings that this query needs: search_path contains only
-- pg_catalog, so every name of another schema is written with its schema.
--
-- Planning takes most of the time for one schema. So text from "only if: …" to "end" is left out of
-- the query if the condition is false ("there" in snapshot.py has the kinds of the schemas' objects),
-- a table of the catalog is read once where it can be, and rare names are looked up by functions.
-- Most services' catalogs have no policies, …: a table without a page is known by its size.
--
-- Each part of "objects" lists one kind of object. The columns of a part:
--   nsp        the schema
--   kind, name for people; together unique in a schema
--   facts      lines written by the server: the prefix "schema." is removed
--   source     text written by a person, which may name the schema: the name becomes {schema}
--   class, oid, sub       its key in pg_description, pg_depend and pg_init_privs
--   owner, acl, acl_kind  its owner and its privileges (acl_kind as for acldefault(), "none"
--                         or "public")
--
-- Columns that only some versions have are read through to_jsonb(), which gives null otherwise.

WITH schemas AS MATERIALIZED (
    SELECT n.oid AS nsp, n.nspname, n.nspowner, n.nspacl,
        n.nspname = 'public' AS shared,
        quote_ident(n.nspname) || '.' AS prefix,
        -- What the server writes: literals and quoted names, which stay; 'schema.users_id_seq'::regclass,
        -- which loses the prefix; and the prefix where a name begins.
        format('(''(?:[^'']|'''')*''|"(?:[^"]|"")*")|('')%s((?:[^'']|'''')*''::reg[a-z]+)|(?<![A-Za-z0-9_$.\u0080-\uffff])%s',
            replace(form.prefix, '''', ''''''), form.prefix) AS written,
        -- Text without this holds neither; quotes are doubled in quotes.
        CASE WHEN n.nspname ~ '["'']' THEN substring(n.nspname FROM '^[^"'']*')
             ELSE quote_ident(n.nspname) || '.' END AS needle,
        -- The same for text of people: with unnecessary quotes, and with quotes in a literal.
        coalesce(substring(n.nspname FROM '^[^"'']*'), '') AS source_needle,
        format('(^|[^A-Za-z0-9_$."\u0080-\uffff])("?)(?:%s|%s)\2\.', form.plain, replace(form.plain, '''', ''''''))
            AS name_in_source,
        -- Is "users" in a view's "users.id" a schema or a table? A table if it has such a column.
        coalesce(
            /* only if: bool_or(is_namesake) */
            (
                SELECT format('(?!(?:%s)(?![A-Za-z0-9_$\u0080-\uffff]))', string_agg(
                    regexp_replace(quote_ident(a.attname), '([.*+?^${}()|\[\]\\-])', '\\\1', 'g'), '|'
                ))
                FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
                WHERE c.relname = n.nspname AND c.relnamespace = n.oid
                HAVING count(*) > 0
            ),
            /* end */
            ''
        ) AS no_column,
        CASE n.nspowner
            WHEN 'pg_database_owner'::regrole
            THEN (SELECT datdba FROM pg_database WHERE datname = current_database())
            ELSE n.nspowner
        END AS real_owner
    FROM pg_namespace AS n
    CROSS JOIN LATERAL (
        SELECT replace(regexp_replace(n.nspname, '([.*+?^${}()|\[\]\\-])', '\\\1', 'g'), '"', '""') AS plain,
            regexp_replace(quote_ident(n.nspname) || '.', '([.*+?^${}()|\[\]\\-])', '\\\1', 'g') AS prefix
    ) AS form
    WHERE n.nspname = ANY (CAST(:schemas AS name[]))
),

members AS MATERIALIZED (  -- of extensions
    SELECT d.classid AS class, d.objid AS oid, e.extname
    FROM pg_extension AS e
    JOIN pg_depend AS d
        ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
),

relations AS MATERIALIZED (
    SELECT c.oid, s.nsp, c.relkind, quote_ident(c.relname) AS name, c.relowner, c.relacl, c.relam,
        c.relpersistence, c.relispartition, c.relpartbound, c.reloftype, c.reloptions, c.reltoastrelid,
        c.reltablespace, c.relreplident, c.relrowsecurity, c.relforcerowsecurity
    FROM schemas AS s
    JOIN pg_class AS c ON c.relnamespace = s.nsp
    WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'c', 'S')
        AND NOT c.relname LIKE ANY (CAST(:excluded AS text[]))
        /* only if: EXISTS (SELECT FROM pg_catalog.pg_depend WHERE refclassid = 'pg_catalog.pg_extension'::regclass AND objid >= 16384) */
        AND NOT EXISTS (
            SELECT FROM members AS m WHERE m.class = 'pg_class'::regclass AND m.oid = c.oid
        )
        /* end */
),

constraints AS MATERIALIZED (
    SELECT con.oid, r.nsp, r.name, con.conrelid, con.conname, con.contype, con.convalidated, con.connoinherit,
        con.conislocal, con.conindid, con.conparentid, con.conkey[1] AS first
    FROM relations AS r
    JOIN pg_constraint AS con ON con.conrelid = r.oid
),

own_types AS MATERIALIZED (  -- all except types of a table, another type or a range
    -- Found by dependencies on the schema: pg_type has several types for each table.
    SELECT s.nsp, t.*
    FROM schemas AS s
    JOIN pg_depend AS d
        ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = s.nsp AND d.classid = 'pg_type'::regclass
    JOIN pg_type AS t ON t.oid = d.objid
    WHERE t.typtype IN ('c', 'e', 'd', 'r')
        OR (t.typtype = 'p' AND NOT t.typisdefined)
        OR (t.typtype = 'b' AND t.typcategory <> 'A')
),

/* only if: sum(number) > 100 */
plain_indexes AS MATERIALIZED (
    -- pg_get_indexdef() looks up the table, and is the slowest part. Most indexes are plain: columns
    -- with default order, collation and operator class. These are written here.
    SELECT i.indexrelid AS oid,
        format('%s (%s)', am.amname, string_agg(quote_ident(a.attname), ', ' ORDER BY key.place)) AS line
    FROM relations AS r
    JOIN pg_index AS i ON i.indrelid = r.oid AND i.indpred IS NULL AND NOT i.indnullsnotdistinct
    JOIN pg_class AS c ON c.oid = i.indexrelid AND c.reloptions IS NULL
    CROSS JOIN LATERAL unnest(i.indkey, i.indclass, i.indcollation, i.indoption)
        WITH ORDINALITY AS key(attnum, opclass, coll, option, place)
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = key.attnum
        AND a.attcollation = key.coll AND key.option = 0
    JOIN pg_opclass AS oc ON oc.oid = key.opclass AND oc.oid < 16384 AND oc.opcdefault
        AND (a.atttypid = oc.opcintype OR (a.atttypid, oc.opcintype) = ('varchar'::regtype, 'text'::regtype))
    JOIN pg_am AS am ON am.oid = oc.opcmethod AND am.amname IN ('btree', 'hash')
    GROUP BY i.indexrelid, i.indnatts, am.amname
    HAVING count(*) = i.indnatts
),  /* end */

usual_owners AS MATERIALIZED (
    -- The role that owns most objects; the schema itself counts once and decides a tie.
    SELECT DISTINCT ON (v.nsp) v.nsp, v.owner
    FROM (
        SELECT nsp, relowner AS owner, 0 AS the_schema
        FROM relations WHERE relkind IN ('r', 'p', 'f', 'v', 'm')
        UNION ALL
        SELECT nsp, real_owner, 1 FROM schemas
    ) AS v
    GROUP BY v.nsp, v.owner
    ORDER BY v.nsp, count(*) DESC, max(v.the_schema) DESC, v.owner
),

objects AS MATERIALIZED (

    -- Schema: its comment and privileges
    SELECT s.nsp, 'schema' AS kind, 'itself' AS name, '' AS facts, NULL::text AS source,
        'pg_namespace'::regclass::oid AS class, s.nsp AS oid, 0 AS sub,
        s.nspowner AS owner,
        s.nspacl AS acl, CASE WHEN s.shared THEN 'public' ELSE 'n' END AS acl_kind
    FROM schemas AS s

    UNION ALL  -- Tables
    SELECT r.nsp, CASE r.relkind WHEN 'f' THEN 'foreign table' ELSE 'table' END, r.name,
        concat_ws(E'\n',
            CASE WHEN r.relpersistence = 'u' THEN 'unlogged: yes' END,
            'partitioned by: ' || CASE WHEN r.relkind = 'p' THEN pg_get_partkeydef(r.oid) END,
            /* only if: pg_relation_size('pg_catalog.pg_inherits') > 0 */
            'inherits from: ' || (
                SELECT string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno)
                FROM pg_inherits AS i WHERE i.inhrelid = r.oid
            ),
            'partition: ' || CASE WHEN starts_with(bound.line, 'FOR VALUES IN (') THEN format('FOR VALUES IN (%s)', (
                -- As they were written, sorted: their order means nothing.
                SELECT string_agg(v[1], ', ' ORDER BY v[1] COLLATE "C")
                FROM regexp_matches(substr(bound.line, 16), 'E?''(?:[^'']|'''')*''|[^'', )]+', 'g') AS v
            )) ELSE bound.line END,
            CASE WHEN r.relispartition AND EXISTS (
                SELECT FROM pg_inherits AS i WHERE i.inhrelid = r.oid AND i.inhdetachpending
            ) THEN 'being detached: yes' END,
            /* end */
            'of type: ' || CASE WHEN r.reloftype <> 0 THEN format_type(r.reloftype, NULL) END,
            'access method: ' || CASE WHEN r.relam NOT IN (0, 2) THEN (pg_identify_object('pg_am'::regclass, r.relam, 0)).identity END,
            'options: ' || CASE WHEN r.reloptions IS NOT NULL THEN (
                SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(r.reloptions) AS o
            ) END,
            'toast options: ' || (
                SELECT string_agg(o, ', ' ORDER BY o COLLATE "C")
                FROM pg_class AS toast, unnest(toast.reloptions) AS o
                WHERE toast.oid = r.reltoastrelid
            ),
            'tablespace: ' || CASE WHEN r.reltablespace <> 0 THEN (pg_identify_object('pg_tablespace'::regclass, r.reltablespace, 0)).identity END,
            'replica identity: ' || CASE WHEN r.relkind <> 'f' THEN CASE r.relreplident
                WHEN 'f' THEN 'full' WHEN 'n' THEN 'nothing' WHEN 'i' THEN 'an index'
            END END,
            'row security: ' || CASE
                WHEN r.relrowsecurity AND r.relforcerowsecurity THEN 'on, for the owner too'
                WHEN r.relrowsecurity THEN 'on'
                WHEN r.relforcerowsecurity THEN 'off, but forced once it is on'
            END,
            /* only if: bool_or(relkind = 'f') */
            'server: ' || (SELECT quote_ident(fs.srvname) FROM pg_foreign_server AS fs WHERE fs.oid = f.ftserver),
            'foreign options: ' || (
                SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(f.ftoptions) AS o
            ),
            /* end */
            /* only if: CAST(:column_order AS boolean) */
            'column order: ' || (
                SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                FROM pg_attribute AS a
                WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
            ),
            /* end */
            NULL
        ),
        NULL, 'pg_class'::regclass, r.oid, 0, r.relowner, r.relacl, 'r'
    FROM relations AS r
    CROSS JOIN LATERAL (SELECT pg_get_expr(r.relpartbound, r.oid) AS line) AS bound
    /* only if: bool_or(relkind = 'f') */ LEFT JOIN pg_foreign_table AS f ON f.ftrelid = r.oid /* end */
    WHERE r.relkind IN ('r', 'p', 'f')

    /* only if: bool_or(relkind IN ('v', 'm')) */
    UNION ALL  -- Views
    SELECT r.nsp, CASE r.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END, r.name,
        concat_ws(E'\n',
            'options: ' || CASE WHEN r.reloptions IS NOT NULL THEN (
                SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(r.reloptions) AS o
            ) END,
            'access method: ' || CASE WHEN r.relam NOT IN (0, 2) THEN (pg_identify_object('pg_am'::regclass, r.relam, 0)).identity END,
            'toast options: ' || (
                SELECT string_agg(o, ', ' ORDER BY o COLLATE "C")
                FROM pg_class AS toast, unnest(toast.reloptions) AS o
                WHERE toast.oid = r.reltoastrelid
            ),
            'tablespace: ' || CASE WHEN r.reltablespace <> 0 THEN (pg_identify_object('pg_tablespace'::regclass, r.reltablespace, 0)).identity END,
            'definition: ' || replace(btrim(pg_get_viewdef(r.oid), ' ;'), E'\n', E'\n  ')
        ),
        NULL, 'pg_class'::regclass, r.oid, 0, r.relowner, r.relacl, 'r'
    FROM relations AS r
    WHERE r.relkind IN ('v', 'm')  /* end */

    UNION ALL  -- Columns
    SELECT r.nsp, CASE r.relkind WHEN 'c' THEN 'attribute' ELSE 'column' END,
        r.name || '.' || quote_ident(a.attname),
        concat_ws(E'\n',
            'type: ' || format_type(a.atttypid, a.atttypmod),
            'collation: '
                || CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
            CASE WHEN a.attnotnull THEN 'not null: ' || CASE
                WHEN NOT nn.convalidated THEN 'not validated'
                WHEN nn.connoinherit THEN 'yes, not inherited'
                ELSE 'yes'
            END END,
            'identity: ' || CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END,
            -- Only generated columns can name other columns; looking these up is expensive.
            CASE a.attgenerated WHEN '' THEN 'default: ' WHEN 'v' THEN 'generated when read: ' ELSE 'generated: ' END
                || replace(
                    pg_get_expr(d.adbin, CASE a.attgenerated WHEN '' THEN 0 ELSE a.attrelid END),
                    E'\n', E'\n  '
                ),
            'storage: ' || CASE WHEN a.attstorage <> t.typstorage THEN
                CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external' WHEN 'm' THEN 'main' ELSE 'extended' END
            END,
            'compression: ' || CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END,
            'statistics target: ' || nullif(a.attstattarget, -1),
            'options: ' || CASE WHEN a.attoptions IS NOT NULL THEN (
                SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(a.attoptions) AS o
                WHERE NOT starts_with(o, 'pg_attver=')  -- PostgreSQL 15.20 sets it by itself
            ) END,
            'foreign options: ' || CASE WHEN a.attfdwoptions IS NOT NULL THEN (
                SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(a.attfdwoptions) AS o
            ) END,
            CASE WHEN NOT a.attislocal THEN 'inherited: yes' END
        ),
        NULL, 'pg_class'::regclass, r.oid, a.attnum,
        CASE WHEN a.attacl IS NOT NULL THEN r.relowner END, a.attacl, 'c'
    FROM relations AS r
    JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN constraints AS nn  -- PostgreSQL 18 stores NOT NULL here too
        ON nn.conrelid = a.attrelid AND nn.contype = 'n' AND nn.first = a.attnum
        AND (NOT nn.convalidated OR nn.connoinherit)
    WHERE r.relkind <> 'S'

    UNION ALL  -- Constraints of tables
    SELECT con.nsp, 'constraint', con.name || '.' || quote_ident(con.conname),
        concat_ws(E'\n',
            'definition: ' || replace(
                CASE WHEN con.convalidated THEN def.line ELSE regexp_replace(def.line, ' NOT VALID$', '') END,
                E'\n', E'\n  '
            ),
            CASE WHEN NOT con.convalidated AND def.line LIKE '% NOT VALID' THEN 'validated: no' END,
            CASE WHEN con.contype = 'c' AND NOT con.conislocal THEN 'inherited: yes' END,
            -- ALTER TABLE … DISABLE TRIGGER ALL disables foreign keys.
            /* only if: bool_or(relhastriggers) */
            CASE WHEN con.contype = 'f' AND EXISTS (
                SELECT FROM pg_trigger AS tg
                WHERE tg.tgconstraint = con.oid AND tg.tgisinternal AND tg.tgenabled <> 'O'
            ) THEN 'enforced: no' END,
            /* end */
            NULL
        ),
        NULL, 'pg_constraint'::regclass, con.oid, 0, NULL, NULL, NULL
    FROM constraints AS con
    CROSS JOIN LATERAL (SELECT pg_get_constraintdef(con.oid) AS line) AS def
    WHERE con.contype IN ('c', 'f', 'p', 'u', 'x') AND con.conparentid = 0

    UNION ALL  -- Indexes. What belongs to a constraint says here only what the constraint does not.
    -- So does a partition's part of an index, whose name is generated.
    SELECT r.nsp, 'index',
        CASE
            /* only if: pg_relation_size('pg_catalog.pg_inherits') > 0 */
            WHEN c.relispartition THEN format('%s of %s', (
                SELECT quote_ident(pi.relname) FROM pg_inherits AS h JOIN pg_class AS pi ON pi.oid = h.inhparent
                WHERE h.inhrelid = c.oid
            ), r.name)
            /* end */
            WHEN true THEN quote_ident(c.relname)
        END,
        concat_ws(E'\n',
            'table: ' || CASE WHEN con.oid IS NULL AND NOT c.relispartition THEN r.name END,
            CASE WHEN i.indisunique AND con.oid IS NULL AND NOT c.relispartition THEN 'unique: yes' END,
            'definition: ' || CASE WHEN con.oid IS NULL AND NOT c.relispartition THEN coalesce(
                /* only if: sum(number) > 100 */ plain.line, /* end */
                replace(substring(pg_get_indexdef(c.oid) FROM ' USING (.*)$'), E'\n', E'\n  ')
            ) END,
            CASE WHEN NOT (i.indisvalid AND i.indisready AND i.indislive) THEN 'valid: no' END,
            'options: ' || CASE WHEN con.oid IS NOT NULL OR c.relispartition THEN (
                SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(c.reloptions) AS o
            ) END,
            'tablespace: ' || CASE WHEN c.reltablespace <> 0 THEN (pg_identify_object('pg_tablespace'::regclass, c.reltablespace, 0)).identity END,
            'statistics targets: ' || CASE WHEN i.indexprs IS NOT NULL THEN (
                SELECT string_agg(a.attnum || '=' || a.attstattarget, ', ' ORDER BY a.attnum)
                FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attstattarget >= 0
            ) END,
            CASE WHEN i.indisclustered THEN 'table is clustered on it: yes' END,
            CASE WHEN i.indisreplident THEN 'replica identity: yes' END
        ),
        NULL, 'pg_class'::regclass, c.oid, 0, NULL, NULL, NULL
    FROM relations AS r
    JOIN pg_index AS i ON i.indrelid = r.oid
    JOIN pg_class AS c ON c.oid = i.indexrelid
    LEFT JOIN constraints AS con
        ON con.conrelid = r.oid AND con.conindid = c.oid AND con.contype IN ('p', 'u', 'x')
    /* only if: sum(number) > 100 */ LEFT JOIN plain_indexes AS plain ON plain.oid = c.oid /* end */

    /* only if: bool_or(relkind = 'S') */
    UNION ALL  -- Sequences. That of an identity column goes by the column: its name is made up.
    SELECT r.nsp, CASE d.deptype WHEN 'i' THEN 'identity' ELSE 'sequence' END,
        CASE d.deptype
            WHEN 'i' THEN t.name || '.' || quote_ident(owner.part[3])
            ELSE r.name
        END,
        concat_ws(E'\n',
            'type: ' || format_type(q.seqtypid, NULL),
            'start: ' || q.seqstart,
            'increment: ' || q.seqincrement,
            'minimum: ' || q.seqmin,
            'maximum: ' || q.seqmax,
            'cache: ' || q.seqcache,
            CASE WHEN q.seqcycle THEN 'cycles: yes' END,
            CASE WHEN r.relpersistence = 'u' AND d.deptype IS DISTINCT FROM 'i' THEN 'unlogged: yes' END,
            'owned by: ' || CASE d.deptype
                WHEN 'a' THEN d.refobjid::regclass::text || '.' || quote_ident(owner.part[3])
            END
        ),
        NULL, 'pg_class'::regclass, r.oid, 0, r.relowner, r.relacl, 's'
    FROM relations AS r
    JOIN pg_sequence AS q ON q.seqrelid = r.oid
    LEFT JOIN pg_depend AS d
        ON d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.objsubid = 0
        AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
    LEFT JOIN relations AS t ON t.oid = d.refobjid
    CROSS JOIN LATERAL (
        SELECT (pg_identify_object_as_address(d.refclassid, d.refobjid, d.refobjsubid)).object_names AS part
    ) AS owner
    WHERE d.refobjid IS NULL OR t.oid IS NOT NULL  -- not of what is excluded  /* end */

    /* only if: bool_or(class = 'pg_catalog.pg_type'::regclass) */
    UNION ALL  -- Types
    SELECT t.nsp,
        CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range' ELSE 'type' END,
        quote_ident(t.typname),
        concat_ws(E'\n',
            'values: ' || CASE t.typtype WHEN 'e' THEN (
                SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                FROM pg_enum AS e WHERE e.enumtypid = t.oid
            ) END,
            'attributes: ' || CASE t.typtype WHEN 'c' THEN (
                SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                FROM pg_attribute AS a
                WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
            ) END,
            'type: ' || CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
            'collation: ' || CASE
                WHEN t.typtype = 'd' AND t.typcollation <> base.typcollation
                THEN t.typcollation::regcollation::text
            END,
            CASE WHEN t.typnotnull THEN 'not null: yes' END,
            'default: ' || replace(
                coalesce(pg_get_expr(t.typdefaultbin, 0), quote_literal(t.typdefault)), E'\n', E'\n  '
            ),
            (
                SELECT concat_ws(E'\n',
                    'subtype: ' || format_type(rg.rngsubtype, NULL),
                    'operator class: ' || (
                        SELECT quote_ident(n.nspname) || '.' || quote_ident(oc.opcname)
                        FROM pg_opclass AS oc JOIN pg_namespace AS n ON n.oid = oc.opcnamespace
                        WHERE oc.oid = rg.rngsubopc
                    ),
                    'collation: ' || nullif(rg.rngcollation, 0)::regcollation,
                    'canonical: ' || nullif(rg.rngcanonical, 0)::regproc,
                    'difference: ' || nullif(rg.rngsubdiff, 0)::regproc,
                    'multirange: ' || format_type(rg.rngmultitypid, NULL)
                )
                FROM pg_range AS rg WHERE rg.rngtypid = t.oid
            ),
            CASE WHEN t.typtype = 'p' THEN 'defined: no' END,
            CASE WHEN t.typtype = 'b' THEN concat_ws(E'\n',
                'input: ' || t.typinput::regproc,
                'output: ' || t.typoutput::regproc,
                'receive: ' || nullif(t.typreceive, 0)::regproc,
                'send: ' || nullif(t.typsend, 0)::regproc,
                'modifier input: ' || nullif(t.typmodin, 0)::regproc,
                'modifier output: ' || nullif(t.typmodout, 0)::regproc,
                'analyze: ' || nullif(t.typanalyze, 0)::regproc,
                'subscript: ' || nullif(t.typsubscript, 0)::regproc,
                format('form: length %s, by value %s, alignment %s, storage %s, category %s, preferred %s, delimiter %s',
                    t.typlen, t.typbyval, t.typalign, t.typstorage, t.typcategory, t.typispreferred, t.typdelim),
                'element: ' || CASE WHEN t.typelem <> 0 THEN format_type(t.typelem, NULL) END
            ) END
        ),
        NULL, 'pg_type'::regclass, t.oid, 0, t.typowner, t.typacl, 'T'
    FROM own_types AS t
    LEFT JOIN pg_type AS base ON base.oid = t.typbasetype  /* end */

    /* only if: bool_or(class = 'pg_catalog.pg_type'::regclass) */
    UNION ALL  -- Constraints of domains
    SELECT t.nsp, 'constraint', quote_ident(t.typname) || '.' || quote_ident(con.conname),
        concat_ws(E'\n',
            'definition: ' || replace(
                regexp_replace(pg_get_constraintdef(con.oid), ' NOT VALID$', ''), E'\n', E'\n  '
            ),
            CASE WHEN NOT con.convalidated THEN 'validated: no' END
        ),
        NULL, 'pg_constraint'::regclass, con.oid, 0, NULL, NULL, NULL
    FROM own_types AS t
    JOIN pg_constraint AS con ON con.contypid = t.oid AND con.contype = 'c'
    WHERE t.typtype = 'd'  /* end */

    /* only if: bool_or(class = 'pg_catalog.pg_proc'::regclass) */
    UNION ALL  -- Functions, procedures, aggregates
    SELECT s.nsp,
        CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
        quote_ident(p.proname) || '(' || oidvectortypes(p.proargtypes) || ')',
        concat_ws(E'\n',
            'arguments: ' || nullif(pg_get_function_arguments(p.oid), ''),
            'returns: ' || pg_get_function_result(p.oid),
            'language: ' || CASE WHEN p.prokind <> 'a' THEN (
                SELECT quote_ident(l.lanname) FROM pg_language AS l WHERE l.oid = p.prolang
            ) END,
            CASE WHEN p.prokind = 'w' THEN 'window: yes' END,
            'volatility: ' || CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' END,
            CASE WHEN p.proisstrict THEN 'strict: yes' END,
            CASE WHEN p.prosecdef THEN 'security definer: yes' END,
            CASE WHEN p.proleakproof THEN 'leakproof: yes' END,
            'parallel: ' || CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' END,
            'cost: ' || nullif(p.procost, CASE WHEN p.prolang IN (12, 13) THEN 1 ELSE 100 END),  -- internal, C
            'rows: ' || nullif(nullif(p.prorows, 0), 1000),
            'support: ' || nullif(p.prosupport, 0)::regproc,
            'settings: ' || CASE WHEN p.proconfig IS NOT NULL THEN replace((
                SELECT string_agg(CASE
                    WHEN o LIKE 'search_path=%' THEN 'search_path=' || (
                        SELECT string_agg(
                            CASE WHEN e.path IN (s.nspname, quote_ident(s.nspname)) THEN '{schema}' ELSE e.path END,
                            ', ' ORDER BY e.place
                        )
                        FROM regexp_split_to_table(substr(o, 13), '\s*,\s*') WITH ORDINALITY AS e(path, place)
                    )
                    ELSE o
                END, '; ' ORDER BY o COLLATE "C")
                FROM unnest(p.proconfig) AS o
            ), E'\n', E'\n  ') END,
            'transforms: ' || CASE WHEN p.protrftypes IS NOT NULL THEN (
                SELECT string_agg(format_type(tt, NULL), ', ' ORDER BY format_type(tt, NULL) COLLATE "C")
                FROM unnest(p.protrftypes) AS tt
            ) END,
            'library: ' || p.probin,
            'body: ' || replace(pg_get_function_sqlbody(p.oid), E'\n', E'\n  '),
            CASE WHEN p.prokind = 'a' THEN (
                SELECT concat_ws(E'\n',
                    'aggregate kind: ' || CASE ag.aggkind
                        WHEN 'o' THEN 'ordered set' WHEN 'h' THEN 'hypothetical set'
                    END || ', ' || ag.aggnumdirectargs || ' direct arguments',
                    format('state: %s of %s', ag.aggtransfn, format_type(ag.aggtranstype, NULL)),
                    'state space: ' || nullif(ag.aggtransspace, 0),
                    'initial: ' || quote_literal(ag.agginitval),
                    'final: ' || nullif(ag.aggfinalfn, 0)::regproc || CASE WHEN ag.aggfinalextra THEN ' with extra arguments' ELSE '' END
                        || ', ' || ag.aggfinalmodify::text,
                    'combine: ' || nullif(ag.aggcombinefn, 0)::regproc,
                    'serialize: ' || nullif(ag.aggserialfn, 0)::regproc,
                    'deserialize: ' || nullif(ag.aggdeserialfn, 0)::regproc,
                    CASE WHEN ag.aggmtransfn <> 0 THEN format(
                        'moving: %s, %s of %s, %s, initial %s, final %s, extra %s, %s', ag.aggmtransfn, ag.aggminvtransfn,
                        format_type(ag.aggmtranstype, NULL), ag.aggmtransspace, quote_nullable(ag.aggminitval),
                        ag.aggmfinalfn, ag.aggmfinalextra, ag.aggmfinalmodify
                    ) END,
                    'sort operator: ' || nullif(ag.aggsortop, 0)::regoperator
                )
                FROM pg_aggregate AS ag WHERE ag.aggfnoid = p.oid
            ) END
        ),
        CASE WHEN p.prokind <> 'a' AND p.prosqlbody IS NULL THEN
            E'\nbody:\n  ' || replace(replace(p.prosrc, E'\r\n', E'\n'), E'\n', E'\n  ')
        END,
        'pg_proc'::regclass, p.oid, 0, p.proowner, p.proacl, 'f'
    FROM schemas AS s
    JOIN pg_proc AS p ON p.pronamespace = s.nsp
    WHERE NOT EXISTS (  -- constructors that come with a range type
        SELECT FROM pg_depend AS d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i'
    )  /* end */

    /* only if: bool_or(relhastriggers) */
    UNION ALL  -- Triggers. Of a partition's copy, only what the original does not say.
    SELECT r.nsp, 'trigger', r.name || '.' || quote_ident(tg.tgname),
        concat_ws(E'\n',
            'definition: ' || CASE WHEN original.oid IS NULL THEN replace(replace(
                regexp_replace(pg_get_triggerdef(tg.oid), '^CREATE (CONSTRAINT )?TRIGGER ', '\1'), E'\n', E'\n  '
            ), ' UPDATE OF ' || columns.given, ' UPDATE OF ' || columns.sorted) END,
            'enabled: ' || CASE WHEN original.oid IS NULL OR original.tgenabled <> tg.tgenabled THEN CASE tg.tgenabled
                WHEN 'D' THEN 'no' WHEN 'R' THEN 'on a replica only' WHEN 'A' THEN 'always'
                ELSE CASE WHEN tg.tgparentid <> 0 THEN 'yes' END
            END END
        ),
        NULL, 'pg_trigger'::regclass, tg.oid, 0, NULL, NULL, NULL
    FROM relations AS r
    JOIN pg_trigger AS tg ON tg.tgrelid = r.oid
    LEFT JOIN pg_trigger AS original ON original.oid = tg.tgparentid
    CROSS JOIN LATERAL (  -- "" where there are none
        SELECT coalesce(string_agg(quote_ident(a.attname), ', ' ORDER BY of.place), '') AS given,
            coalesce(string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname COLLATE "C"), '') AS sorted
        FROM unnest(tg.tgattr) WITH ORDINALITY AS of(attnum, place)
        JOIN pg_attribute AS a ON a.attrelid = tg.tgrelid AND a.attnum = of.attnum
    ) AS columns
    WHERE NOT tg.tgisinternal  /* end */

    /* only if: bool_or(relhasrules) */
    UNION ALL  -- Rules
    SELECT r.nsp, 'rule', r.name || '.' || quote_ident(rw.rulename),
        concat_ws(E'\n',
            'definition: ' || replace(regexp_replace(pg_get_ruledef(rw.oid), '^CREATE RULE |;$', '', 'g'), E'\n', E'\n  '),
            'enabled: ' || CASE rw.ev_enabled
                WHEN 'D' THEN 'no' WHEN 'R' THEN 'on a replica only' WHEN 'A' THEN 'always'
            END
        ),
        NULL, 'pg_rewrite'::regclass, rw.oid, 0, NULL, NULL, NULL
    FROM relations AS r
    JOIN pg_rewrite AS rw ON rw.ev_class = r.oid AND rw.rulename <> '_RETURN'  /* end */

    /* only if: pg_relation_size('pg_catalog.pg_policy') > 0 */
    UNION ALL  -- Policies
    SELECT r.nsp, 'policy', r.name || '.' || quote_ident(po.polname),
        concat_ws(E'\n',
            'kind: ' || CASE WHEN po.polpermissive THEN 'permissive' ELSE 'restrictive' END,
            'for: ' || CASE po.polcmd
                WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL'
            END,
            'to: ' || (
                SELECT string_agg(g.who, ', ' ORDER BY g.who COLLATE "C")
                FROM unnest(po.polroles) AS role
                CROSS JOIN LATERAL (SELECT CASE role
                    WHEN 0 THEN 'PUBLIC' WHEN r.relowner THEN 'the owner' ELSE quote_ident(pg_get_userbyid(role))
                END AS who) AS g
            ),
            'using: ' || replace(pg_get_expr(po.polqual, po.polrelid), E'\n', E'\n  '),
            'check: ' || replace(pg_get_expr(po.polwithcheck, po.polrelid), E'\n', E'\n  ')
        ),
        NULL, 'pg_policy'::regclass, po.oid, 0, NULL, NULL, NULL
    FROM relations AS r
    JOIN pg_policy AS po ON po.polrelid = r.oid  /* end */

    /* only if: bool_or(class = 'pg_catalog.pg_statistic_ext'::regclass) */
    UNION ALL  -- Extended statistics
    SELECT s.nsp, 'statistics', quote_ident(st.stxname),
        concat_ws(E'\n',
            'definition: ' || replace(substring(pg_get_statisticsobjdef(st.oid) FROM '^CREATE STATISTICS (?:"(?:[^"]|"")*"|[^".( ])+\.(?:"(?:[^"]|"")*"|[^".( ])+ (.*)$'), expressions.given, expressions.sorted),
            'statistics target: ' || nullif(st.stxstattarget, -1)
        ),
        NULL, 'pg_statistic_ext'::regclass, st.oid, 0, st.stxowner, NULL, NULL
    FROM schemas AS s
    JOIN pg_statistic_ext AS st ON st.stxnamespace = s.nsp
    JOIN relations AS r ON r.oid = st.stxrelid
    CROSS JOIN LATERAL (  -- columns are sorted already; "" where there are no expressions
        SELECT coalesce(string_agg(e.line, ', ' ORDER BY e.place), '') AS given,
            coalesce(string_agg(e.line, ', ' ORDER BY e.line COLLATE "C"), '') AS sorted
        FROM (
            SELECT place, CASE WHEN strpos(pg_get_statisticsobjdef_columns(st.oid), format('(%s)', line)) = 0
                THEN line ELSE format('(%s)', line) END AS line
            FROM unnest(pg_get_statisticsobjdef_expressions(st.oid)) WITH ORDINALITY AS expression(line, place)
        ) AS e
    ) AS expressions  /* end */

    /* only if: bool_or(class = 'pg_catalog.pg_collation'::regclass) */
    UNION ALL  -- Collations
    SELECT s.nsp, 'collation', quote_ident(co.collname),
        concat_ws(E'\n',
            'provider: ' || CASE co.collprovider WHEN 'i' THEN 'icu' WHEN 'c' THEN 'libc' WHEN 'b' THEN 'builtin' ELSE 'default' END,
            'locale: ' || coalesce(
                to_jsonb(co) ->> 'colllocale', to_jsonb(co) ->> 'colliculocale', nullif(concat_ws(', ', co.collcollate, co.collctype), '')
            ),
            'rules: ' || (to_jsonb(co) ->> 'collicurules'),
            CASE WHEN NOT co.collisdeterministic THEN 'deterministic: no' END
        ),
        NULL, 'pg_collation'::regclass, co.oid, 0, co.collowner, NULL, NULL
    FROM schemas AS s
    JOIN pg_collation AS co ON co.collnamespace = s.nsp  /* end */

    /* only if: bool_or(class = 'pg_catalog.pg_conversion'::regclass) */
    UNION ALL  -- Conversions
    SELECT s.nsp, 'conversion', quote_ident(cv.conname),
        concat_ws(E'\n',
            format('from: %s to %s', pg_encoding_to_char(cv.conforencoding), pg_encoding_to_char(cv.contoencoding)),
            'function: ' || cv.conproc,
            CASE WHEN cv.condefault THEN 'default: yes' END
        ),
        NULL, 'pg_conversion'::regclass, cv.oid, 0, cv.conowner, NULL, NULL
    FROM schemas AS s
    JOIN pg_conversion AS cv ON cv.connamespace = s.nsp  /* end */

    /* only if: bool_or(class = 'pg_catalog.pg_operator'::regclass) */
    UNION ALL  -- Operators
    SELECT s.nsp, 'operator', format('%s (%s, %s)', op.oprname,
            CASE op.oprleft WHEN 0 THEN 'none' ELSE format_type(op.oprleft, NULL) END, format_type(op.oprright, NULL)),
        concat_ws(E'\n',
            'function: ' || nullif(op.oprcode, 0)::regproc,
            'commutator: ' || nullif(op.oprcom, 0)::regoperator,
            'negator: ' || nullif(op.oprnegate, 0)::regoperator,
            'restriction: ' || nullif(op.oprrest, 0)::regproc,
            'join: ' || nullif(op.oprjoin, 0)::regproc,
            CASE WHEN op.oprcanmerge THEN 'merges: yes' END,
            CASE WHEN op.oprcanhash THEN 'hashes: yes' END
        ),
        NULL, 'pg_operator'::regclass, op.oid, 0, op.oprowner, NULL, NULL
    FROM schemas AS s
    JOIN pg_operator AS op ON op.oprnamespace = s.nsp  /* end */

    /* only if: bool_or(class = 'pg_catalog.pg_opclass'::regclass) */
    UNION ALL  -- Operator classes
    SELECT s.nsp, 'operator class', format('%s (%s)', quote_ident(oc.opcname), am.amname),
        concat_ws(E'\n',
            'for type: ' || format_type(oc.opcintype, NULL),
            CASE WHEN oc.opcdefault THEN 'default: yes' END,
            'stores: ' || CASE WHEN oc.opckeytype <> 0 THEN format_type(oc.opckeytype, NULL) END,
            'family: ' || quote_ident(n.nspname) || '.' || quote_ident(fa.opfname)
        ),
        NULL, 'pg_opclass'::regclass, oc.oid, 0, oc.opcowner, NULL, NULL
    FROM schemas AS s
    JOIN pg_opclass AS oc ON oc.opcnamespace = s.nsp
    JOIN pg_am AS am ON am.oid = oc.opcmethod
    JOIN pg_opfamily AS fa ON fa.oid = oc.opcfamily
    JOIN pg_namespace AS n ON n.oid = fa.opfnamespace  /* end */

    /* only if: bool_or(class = 'pg_catalog.pg_opfamily'::regclass) */
    UNION ALL  -- Operator families
    SELECT s.nsp, 'operator family', format('%s (%s)', quote_ident(fa.opfname), am.amname),
        concat_ws(E'\n',
            'operators: ' || (
                SELECT string_agg(format('%s %s %s', o.amopstrategy, o.amopopr::regoperator, o.amoppurpose), '; '
                    ORDER BY o.amopstrategy, o.amopopr::regoperator::text COLLATE "C")
                FROM pg_amop AS o WHERE o.amopfamily = fa.oid
            ),
            'functions: ' || (
                SELECT string_agg(format('%s %s', o.amprocnum, o.amproc::regprocedure), '; '
                    ORDER BY o.amprocnum, o.amproc::regprocedure::text COLLATE "C")
                FROM pg_amproc AS o WHERE o.amprocfamily = fa.oid
            )
        ),
        NULL, 'pg_opfamily'::regclass, fa.oid, 0, fa.opfowner, NULL, NULL
    FROM schemas AS s
    JOIN pg_opfamily AS fa ON fa.opfnamespace = s.nsp
    JOIN pg_am AS am ON am.oid = fa.opfmethod  /* end */

    /* only if: bool_or(class = 'pg_catalog.pg_ts_config'::regclass) */
    UNION ALL  -- Text search configurations
    SELECT s.nsp, 'text search configuration', quote_ident(c.cfgname),
        concat_ws(E'\n',
            'parser: ' || (
                SELECT quote_ident(n.nspname) || '.' || quote_ident(prs.prsname)
                FROM pg_ts_parser AS prs JOIN pg_namespace AS n ON n.oid = prs.prsnamespace
                WHERE prs.oid = c.cfgparser
            ),
            'mapping: ' || (
                SELECT string_agg(format('%s %s', m.maptokentype, m.mapdict::regdictionary), ', '
                    ORDER BY m.maptokentype, m.mapseqno)
                FROM pg_ts_config_map AS m WHERE m.mapcfg = c.oid
            )
        ),
        NULL, 'pg_ts_config'::regclass, c.oid, 0, c.cfgowner, NULL, NULL
    FROM schemas AS s JOIN pg_ts_config AS c ON c.cfgnamespace = s.nsp  /* end */

    /* only if: bool_or(class = 'pg_catalog.pg_ts_dict'::regclass) */
    UNION ALL  -- Text search dictionaries
    SELECT s.nsp, 'text search dictionary', quote_ident(d.dictname),
        concat_ws(E'\n',
            'template: ' || (
                SELECT quote_ident(n.nspname) || '.' || quote_ident(tm.tmplname)
                FROM pg_ts_template AS tm JOIN pg_namespace AS n ON n.oid = tm.tmplnamespace
                WHERE tm.oid = d.dicttemplate
            ),
            'options: ' || d.dictinitoption
        ),
        NULL, 'pg_ts_dict'::regclass, d.oid, 0, d.dictowner, NULL, NULL
    FROM schemas AS s JOIN pg_ts_dict AS d ON d.dictnamespace = s.nsp  /* end */

    /* only if: bool_or(class = 'pg_catalog.pg_ts_parser'::regclass) */
    UNION ALL  -- Text search parsers
    SELECT s.nsp, 'text search parser', quote_ident(x.prsname),
        format('functions: %s, %s, %s, %s, %s', x.prsstart, x.prstoken, x.prsend, x.prsheadline, x.prslextype),
        NULL, 'pg_ts_parser'::regclass, x.oid, 0, NULL, NULL, NULL
    FROM schemas AS s JOIN pg_ts_parser AS x ON x.prsnamespace = s.nsp  /* end */

    /* only if: bool_or(class = 'pg_catalog.pg_ts_template'::regclass) */
    UNION ALL  -- Text search templates
    SELECT s.nsp, 'text search template', quote_ident(x.tmplname),
        format('functions: %s, %s', x.tmplinit, x.tmpllexize),
        NULL, 'pg_ts_template'::regclass, x.oid, 0, NULL, NULL, NULL
    FROM schemas AS s JOIN pg_ts_template AS x ON x.tmplnamespace = s.nsp  /* end */

    /* only if: EXISTS (SELECT FROM pg_catalog.pg_cast WHERE oid >= 16384) */
    UNION ALL  -- Casts: told where the source type is or, if that is built in, the target or function
    SELECT s.nsp, 'cast', format('%s AS %s', format_type(ca.castsource, NULL), format_type(ca.casttarget, NULL)),
        concat_ws(E'\n',
            'function: ' || nullif(ca.castfunc, 0)::regprocedure,
            'context: ' || CASE ca.castcontext WHEN 'e' THEN 'explicit' WHEN 'a' THEN 'assignment' ELSE 'implicit' END,
            'method: ' || CASE ca.castmethod WHEN 'b' THEN 'binary' WHEN 'i' THEN 'text' END
        ),
        NULL, 'pg_cast'::regclass, ca.oid, 0, NULL, NULL, NULL
    FROM pg_cast AS ca
    JOIN pg_type AS source ON source.oid = ca.castsource
    JOIN pg_type AS target ON target.oid = ca.casttarget
    LEFT JOIN pg_proc AS p ON p.oid = ca.castfunc
    JOIN schemas AS s ON s.nsp = CASE
        WHEN source.typnamespace <> 'pg_catalog'::regnamespace THEN source.typnamespace
        WHEN target.typnamespace <> 'pg_catalog'::regnamespace THEN target.typnamespace
        WHEN p.pronamespace <> 'pg_catalog'::regnamespace THEN p.pronamespace
        ELSE to_regnamespace('public')
    END
    WHERE ca.oid >= 16384 AND NOT EXISTS (  -- that of a range type to its multirange
        SELECT FROM pg_depend AS d
        WHERE d.classid = 'pg_cast'::regclass AND d.objid = ca.oid AND d.deptype = 'i'
    )  /* end */

    /* only if: pg_relation_size('pg_catalog.pg_default_acl') > 0 */
    UNION ALL  -- Default privileges for what is made later
    SELECT s.nsp, 'default privileges',
        format('on %s made by %s%s',
            CASE da.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
                WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE 'large objects' END,
            CASE da.defaclrole WHEN uo.owner THEN 'the owner' ELSE quote_ident(pg_get_userbyid(da.defaclrole)) END,
            CASE da.defaclnamespace WHEN 0 THEN ', in any schema' ELSE '' END),
        '', NULL, 'pg_default_acl'::regclass, da.oid, 0, da.defaclrole, da.defaclacl,
        CASE
            WHEN da.defaclnamespace <> 0 THEN 'none'  -- added to what is global
            WHEN da.defaclobjtype = 'S' THEN 's'
            ELSE da.defaclobjtype::text
        END
    FROM pg_default_acl AS da
    JOIN schemas AS s ON s.nsp = da.defaclnamespace OR (da.defaclnamespace = 0 AND s.shared)
    JOIN usual_owners AS uo ON uo.nsp = s.nsp  /* end */

    /* only if: EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql') */
    UNION ALL  -- Extensions installed here
    SELECT s.nsp, 'extension', quote_ident(e.extname), 'version: ' || e.extversion,
        NULL, 'pg_extension'::regclass, e.oid, 0, NULL, NULL, NULL
    FROM pg_extension AS e
    JOIN schemas AS s ON s.nsp = e.extnamespace  /* end */

    /* only if: EXISTS (SELECT FROM pg_catalog.pg_depend WHERE refclassid = 'pg_catalog.pg_extension'::regclass AND objid >= 16384) */
    UNION ALL  -- Privileges and comments on functions, relations and types of extensions
    SELECT s.nsp, 'extension member', one.name, '', NULL, m.class, m.oid, 0, one.owner, one.acl, one.acl_kind
    FROM (
        SELECT m.*, EXISTS (
            SELECT FROM pg_description AS c WHERE c.classoid = m.class AND c.objoid = m.oid AND c.objsubid = 0
        ) AS has_comment
        FROM members AS m
    ) AS m
    CROSS JOIN LATERAL (
        SELECT p.pronamespace AS nsp, p.proowner AS owner, p.proacl AS acl, 'f' AS acl_kind,
            format('%s(%s)', quote_ident(p.proname), pg_get_function_identity_arguments(p.oid)) AS name
        FROM pg_proc AS p WHERE m.class = 'pg_proc'::regclass AND p.oid = m.oid AND (p.proacl IS NOT NULL OR m.has_comment)
        UNION ALL
        SELECT c.relnamespace, c.relowner, c.relacl, CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END, quote_ident(c.relname)
        FROM pg_class AS c WHERE m.class = 'pg_class'::regclass AND c.oid = m.oid AND (c.relacl IS NOT NULL OR m.has_comment)
        UNION ALL
        SELECT t.typnamespace, t.typowner, t.typacl, 'T', quote_ident(t.typname)
        FROM pg_type AS t WHERE m.class = 'pg_type'::regclass AND t.oid = m.oid AND (t.typacl IS NOT NULL OR m.has_comment)
    ) AS one
    JOIN schemas AS s ON s.nsp = one.nsp  /* end */

    /* only if: EXISTS (SELECT FROM pg_catalog.pg_depend WHERE refclassid = 'pg_catalog.pg_extension'::regclass AND objid >= 16384) */
    UNION ALL  -- Extensions that something here needs
    SELECT DISTINCT used.nsp, 'extension used', quote_ident(used.extname), '',
        NULL, NULL::oid, NULL::oid, NULL::int, NULL::oid, NULL::aclitem[], NULL
    FROM (
        SELECT coalesce(r.nsp, s.nsp) AS nsp, m.extname
        FROM members AS m
        JOIN pg_depend AS d ON d.refclassid = m.class AND d.refobjid = m.oid AND d.deptype IN ('n', 'a')
            AND NOT EXISTS (SELECT FROM members AS own WHERE own.class = d.classid AND own.oid = d.objid)
        LEFT JOIN pg_index AS i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
        LEFT JOIN pg_attrdef AS ad ON d.classid = 'pg_attrdef'::regclass AND ad.oid = d.objid
        LEFT JOIN pg_constraint AS con ON d.classid = 'pg_constraint'::regclass AND con.oid = d.objid
        -- Citus puts an internal trigger on each table that it spreads.
        LEFT JOIN pg_trigger AS tg
            ON d.classid = 'pg_trigger'::regclass AND tg.oid = d.objid AND NOT tg.tgisinternal
        LEFT JOIN pg_rewrite AS rw ON d.classid = 'pg_rewrite'::regclass AND rw.oid = d.objid
        LEFT JOIN relations AS r ON r.oid = coalesce(
            i.indrelid, ad.adrelid, con.conrelid, tg.tgrelid, rw.ev_class,
            CASE WHEN d.classid = 'pg_class'::regclass THEN d.objid END
        )
        LEFT JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
        LEFT JOIN pg_type AS t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid AND t.typcategory <> 'A'
        LEFT JOIN schemas AS s ON s.nsp = coalesce(p.pronamespace, t.typnamespace)
        WHERE m.extname <> 'plpgsql'
    ) AS used
    WHERE used.nsp IS NOT NULL  /* end */

    /* only if: pg_relation_size('pg_catalog.pg_publication') > 0 */
    UNION ALL  -- Publications that name a table
    SELECT r.nsp, 'publication', format('%s of %s', quote_ident(pu.pubname), r.name),
        concat_ws(E'\n',
            'columns: ' || (
                SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname COLLATE "C")
                FROM pg_attribute AS a WHERE a.attrelid = r.oid AND a.attnum = ANY (pr.prattrs)
            ),
            'where: ' || replace(pg_get_expr(pr.prqual, pr.prrelid), E'\n', E'\n  ')
        ),
        NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM relations AS r
    JOIN pg_publication_rel AS pr ON pr.prrelid = r.oid
    JOIN pg_publication AS pu ON pu.oid = pr.prpubid  /* end */

    /* only if: pg_relation_size('pg_catalog.pg_publication') > 0 */
    UNION ALL  -- Publications that name the schema
    SELECT s.nsp, 'publication', quote_ident(pu.pubname) || ' of this schema', '',
        NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM schemas AS s
    JOIN pg_publication_namespace AS pn ON pn.pnnspid = s.nsp
    JOIN pg_publication AS pu ON pu.oid = pn.pnpubid  /* end */

    /* only if: pg_relation_size('pg_catalog.pg_publication') > 0 */
    UNION ALL  -- Publications
    SELECT s.nsp, 'publication', quote_ident(pu.pubname),
        concat_ws(E'\n',
            CASE WHEN pu.puballtables THEN 'all tables: yes' END,
            'publishes: ' || concat_ws(', ',
                CASE WHEN pu.pubinsert THEN 'insert' END, CASE WHEN pu.pubupdate THEN 'update' END,
                CASE WHEN pu.pubdelete THEN 'delete' END, CASE WHEN pu.pubtruncate THEN 'truncate' END
            ),
            CASE WHEN pu.pubviaroot THEN 'through the partitioned table: yes' END,
            'generated columns: ' || nullif(to_jsonb(pu) ->> 'pubgencols', 'n')
        ),
        NULL, 'pg_publication'::regclass, pu.oid, 0, pu.pubowner, NULL, NULL
    FROM schemas AS s
    JOIN pg_publication AS pu ON s.shared  /* end */

    /* only if: pg_relation_size('pg_catalog.pg_event_trigger') > 0 */
    UNION ALL  -- Event triggers
    SELECT s.nsp, 'event trigger', quote_ident(ev.evtname),
        concat_ws(E'\n',
            'on: ' || ev.evtevent,
            'tags: ' || (SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(ev.evttags) AS o),
            'function: ' || ev.evtfoid::regproc,
            'enabled: ' || CASE ev.evtenabled
                WHEN 'D' THEN 'no' WHEN 'R' THEN 'on a replica only' WHEN 'A' THEN 'always'
            END
        ),
        NULL, 'pg_event_trigger'::regclass, ev.oid, 0, ev.evtowner, NULL, NULL
    FROM schemas AS s
    JOIN pg_event_trigger AS ev ON s.shared  /* end */

    /* only if: pg_relation_size('pg_catalog.pg_foreign_server') > 0 */
    UNION ALL  -- Foreign servers
    SELECT s.nsp, 'foreign server', quote_ident(fs.srvname),
        concat_ws(E'\n',
            'wrapper: ' || quote_ident(fw.fdwname),
            'type: ' || fs.srvtype,
            'version: ' || fs.srvversion,
            'options: ' || (SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(fs.srvoptions) AS o),
            'users: ' || (
                SELECT string_agg(quote_ident(um.usename), ', ' ORDER BY um.usename COLLATE "C")
                FROM pg_user_mappings AS um WHERE um.srvid = fs.oid
            )
        ),
        NULL, 'pg_foreign_server'::regclass, fs.oid, 0, fs.srvowner, fs.srvacl, 'S'
    FROM schemas AS s
    JOIN pg_foreign_server AS fs ON s.shared
    JOIN pg_foreign_data_wrapper AS fw ON fw.oid = fs.srvfdw  /* end */

    /* only if: pg_relation_size('pg_catalog.pg_foreign_data_wrapper') > 0 */
    UNION ALL  -- Foreign data wrappers
    SELECT s.nsp, 'foreign data wrapper', quote_ident(fw.fdwname),
        concat_ws(E'\n',
            'handler: ' || nullif(fw.fdwhandler, 0)::regproc,
            'validator: ' || nullif(fw.fdwvalidator, 0)::regproc,
            'options: ' || (SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(fw.fdwoptions) AS o)
        ),
        NULL, 'pg_foreign_data_wrapper'::regclass, fw.oid, 0, fw.fdwowner, fw.fdwacl, 'F'
    FROM schemas AS s
    JOIN pg_foreign_data_wrapper AS fw ON s.shared  /* end */

    /* only if: EXISTS (SELECT FROM pg_catalog.pg_am WHERE oid >= 16384) */
    UNION ALL  -- Access methods
    SELECT s.nsp, 'access method', quote_ident(am.amname),
        concat_ws(E'\n', 'for: ' || CASE am.amtype WHEN 't' THEN 'tables' ELSE 'indexes' END, 'handler: ' || am.amhandler),
        NULL, 'pg_am'::regclass, am.oid, 0, NULL, NULL, NULL
    FROM schemas AS s
    JOIN pg_am AS am ON s.shared AND am.oid >= 16384  /* end */

    /* only if: EXISTS (SELECT FROM pg_catalog.pg_language WHERE oid >= 16384 OR lanacl IS NOT NULL) */
    UNION ALL  -- Languages
    SELECT s.nsp, CASE WHEN own.oid IS NULL THEN 'language' ELSE 'extension member' END, quote_ident(l.lanname),
        CASE WHEN own.oid IS NULL THEN concat_ws(E'\n',
            CASE WHEN l.lanpltrusted THEN 'trusted: yes' END,
            'handler: ' || nullif(l.lanplcallfoid, 0)::regproc
        ) ELSE '' END,
        NULL, 'pg_language'::regclass, l.oid, CASE WHEN own.oid IS NULL THEN 0 END, l.lanowner, l.lanacl, 'l'
    FROM schemas AS s
    JOIN pg_language AS l ON s.shared AND (l.oid >= 16384 OR l.lanacl IS NOT NULL)
    LEFT JOIN members AS own ON own.class = 'pg_language'::regclass AND own.oid = l.oid  /* end */

    /* only if: pg_relation_size('pg_catalog.pg_transform') > 0 */
    UNION ALL  -- Transforms
    SELECT s.nsp, 'transform', format('of %s for %s', format_type(tr.trftype, NULL), quote_ident(l.lanname)),
        concat_ws(E'\n',
            'from SQL: ' || nullif(tr.trffromsql, 0)::regprocedure,
            'to SQL: ' || nullif(tr.trftosql, 0)::regprocedure
        ),
        NULL, 'pg_transform'::regclass, tr.oid, 0, NULL, NULL, NULL
    FROM schemas AS s
    JOIN pg_transform AS tr ON s.shared
    JOIN pg_language AS l ON l.oid = tr.trflang  /* end */

    /* only if: pg_relation_size('pg_catalog.pg_subscription') > 0 */
    UNION ALL  -- Subscriptions
    SELECT s.nsp, 'subscription', quote_ident(su.subname),
        'publications: ' || (
            SELECT string_agg(quote_ident(o), ', ' ORDER BY o COLLATE "C") FROM unnest(su.subpublications) AS o
        ),
        NULL, 'pg_subscription'::regclass, su.oid, 0, su.subowner, NULL, NULL
    FROM schemas AS s
    JOIN pg_subscription AS su ON s.shared
        AND su.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())  /* end */

),

listed AS (
    SELECT s.nspname AS schema, o.kind,
        -- Types in a name are the server's text; other names have no prefix.
        CASE WHEN o.kind NOT IN ('function', 'procedure', 'aggregate', 'cast', 'operator', 'transform', 'extension member') OR strpos(o.name, s.needle) = 0
            THEN o.name ELSE regexp_replace(o.name, s.written || s.no_column, '\1\2\3', 'g') END AS name,
        ltrim(concat(
            CASE
                WHEN strpos(o.facts, s.needle) = 0 THEN o.facts
                -- The prefix, now U+0001, is only at the start of names: in no literal and no quoted name.
                -- Left out before the search: literals without it, and names in literals that begin with it.
                WHEN s.no_column = '' AND s.needle = s.prefix
                    AND regexp_replace(marked.facts, '''[^''\x01]*''|''\x01[^''"\x01]*''::reg', '', 'g') !~ '[''"]|[A-Za-z0-9_$.\u0080-\uffff]\x01'
                THEN replace(marked.facts, chr(1), '')
                ELSE regexp_replace(o.facts, s.written || s.no_column, '\1\2\3', 'g')
            END,
            CASE WHEN strpos(o.source, s.source_needle) = 0 THEN o.source ELSE replace(
                regexp_replace(o.source, s.name_in_source, '\1{schema}.', 'g'),
                quote_literal(s.nspname), '''{schema}'''
            ) END,
            CASE WHEN o.sub = 0 AND o.owner NOT IN (uo.owner, 'pg_database_owner'::regrole) AND o.kind NOT IN ('default privileges', 'extension member')
                THEN E'\nowner: ' || quote_ident(pg_get_userbyid(o.owner)) END,
            CASE WHEN o.acl IS NOT NULL THEN (
                SELECT string_agg(format(E'\ngranted to %s: %s', g.who, coalesce(g.granted, 'nothing')), '' ORDER BY g.who COLLATE "C")
                FROM (
                    SELECT CASE
                            WHEN a.grantee IS NULL THEN 'the owner'
                            WHEN a.grantee = 0 THEN 'PUBLIC'
                            ELSE quote_ident(pg_get_userbyid(a.grantee))
                        END AS who,
                        string_agg(a.may, ', ' ORDER BY a.may COLLATE "C") FILTER (WHERE a.now) AS granted,
                        string_agg(a.may, ', ' ORDER BY a.may COLLATE "C") FILTER (WHERE NOT a.now) AS usual
                    FROM (
                        SELECT DISTINCT true AS now, nullif(x.grantee, o.owner) AS grantee, x.privilege_type || CASE WHEN x.is_grantable THEN ' with grant option' ELSE '' END AS may
                        -- A public that was created again lacks the grants of a new database's; pg_dump writes this
                        -- as a REVOKE. The usage by PUBLIC is not listed for such a schema.
                        FROM aclexplode(CASE WHEN o.acl_kind = 'public' AND o.oid >= 16384
                            THEN o.acl || makeaclitem(0, o.owner, 'USAGE', false)
                            ELSE o.acl
                        END) AS x
                        UNION ALL
                        -- The owner granted the defaults, and may have been another role.
                        SELECT false, nullif(x.grantee, x.grantor), x.privilege_type || CASE WHEN x.is_grantable THEN ' with grant option' ELSE '' END
                        FROM aclexplode(CASE o.acl_kind
                            WHEN 'none' THEN NULL
                            -- As in a new database, even if it was created again and got the same grants.
                            WHEN 'public' THEN acldefault('n', o.owner) || makeaclitem(0, o.owner, 'USAGE', false)
                            ELSE coalesce(
                                /* only if: EXISTS (SELECT FROM pg_catalog.pg_depend WHERE refclassid = 'pg_catalog.pg_extension'::regclass AND objid >= 16384) */
                                (SELECT ip.initprivs FROM pg_init_privs AS ip
                                 WHERE ip.objoid = o.oid AND ip.classoid = o.class AND ip.objsubid = o.sub),
                                /* end */
                                acldefault(o.acl_kind::"char", o.owner)
                            )
                        END) AS x
                    ) AS a
                    GROUP BY a.grantee
                ) AS g
                WHERE g.granted IS DISTINCT FROM g.usual
            ) END,
            E'\ncomment: ' || replace(replace(c.description, E'\r\n', E'\n'), E'\n', E'\n  ')
        ), E'\n') AS definition
    FROM (
        SELECT nsp, kind, name, source, class, oid, sub, owner, acl, acl_kind,
            -- name IN ('a', 'b') of a varchar: the array is cast; after a dump and a restore each value
            -- is cast instead. Both are written without the cast. A number's default is written without quotes.
            CASE
                WHEN strpos(facts, '::character varying') > 0 THEN regexp_replace(
                    regexp_replace(facts, '\(ARRAY\[([^]]*)\]\)::text\[\]', 'ARRAY[\1]', 'g'),
                    '\((''(?:[^'']|'''')*''::character varying)\)::text', '\1', 'g'
                )
                WHEN strpos(facts, 'default: ''') > 0 THEN regexp_replace(
                    facts,
                    '^default: ''(-?[0-9]+(?:\.[0-9]+)?)''::(smallint|integer|bigint|numeric|real|double precision)$',
                    'default: \1', 'n'
                )
                ELSE facts
            END AS facts
        FROM objects
        OFFSET 0  -- so that the expression is neither repeated nor planned more than once
    ) AS o
    JOIN schemas AS s ON s.nsp = o.nsp
    CROSS JOIN LATERAL (
        SELECT CASE WHEN strpos(o.facts, s.needle) > 0 THEN replace(o.facts, s.prefix, chr(1)) END AS facts
    ) AS marked
    JOIN usual_owners AS uo ON uo.nsp = o.nsp
    LEFT JOIN pg_description AS c ON c.objoid = o.oid AND c.classoid = o.class AND c.objsubid = o.sub
        AND NOT (o.kind = 'schema' AND c.description = 'standard public schema')
    WHERE
        /* only if: EXISTS (SELECT FROM pg_catalog.pg_depend WHERE refclassid = 'pg_catalog.pg_extension'::regclass AND objid >= 16384) */
        (o.kind = 'extension member' OR NOT EXISTS (SELECT FROM members AS m WHERE m.class = o.class AND m.oid = o.oid)) AND
        /* end */
        -- "relations" left out the others already.
        (o.kind IN ('table', 'column', 'constraint', 'index') OR NOT o.name LIKE ANY (CAST(:excluded AS text[])))
    OFFSET 0
)
