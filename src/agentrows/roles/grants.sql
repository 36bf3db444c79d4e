-- Rights for three roles: the owner migrates, the service reads and writes rows, the reader reads.
--
-- One statement: all of it happens, or nothing. Run it as an administrator (a superuser, or a role
-- with CREATEROLE that owns the database), before the first migration and after each. It sets what
-- the roles may do on what the owner has, so a second time changes nothing.
--
-- A role that is missing is created without a password: nobody logs in as it before you give it one
-- (\password in psql).

DO $grants$
DECLARE
    names CONSTANT jsonb := '{names}';
    owner CONSTANT text := names ->> 'owner';
    service CONSTANT text := names ->> 'service';
    reader CONSTANT text := names ->> 'reader';
    is_lent boolean := false;
    role text;
    schema text;
    space oid;
    kind text;
    runs text;
    each record;
BEGIN
    IF current_setting('standard_conforming_strings') <> 'on' THEN
        RAISE EXCEPTION 'standard_conforming_strings has to be on';
    END IF;

    FOREACH role IN ARRAY ARRAY[owner, service, reader] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role);
        END IF;
        IF NOT has_database_privilege(role, current_database(), 'CONNECT') THEN
            EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
        END IF;
    END LOOP;

    FOREACH role IN ARRAY ARRAY[service, reader] LOOP
        -- A member of a role can do what that role can.
        SELECT rolname INTO each FROM pg_roles
        WHERE pg_has_role(role, oid, 'MEMBER') AND (
            rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
            OR rolname = owner
            OR starts_with(rolname, 'pg_') -- PostgreSQL's own: each reaches beyond some tables
            OR (rolname = service AND role = reader)
        );
        IF FOUND THEN
            RAISE EXCEPTION 'the role % is, or is a member of, %, which may do more than it should',
                quote_ident(role), quote_ident(each.rolname)
                USING HINT = 'Revoke that membership, or name another role.';
        END IF;
        IF has_database_privilege(role, current_database(), 'CREATE') THEN
            RAISE EXCEPTION 'the role % may create schemas in this database', quote_ident(role)
                USING HINT = format('REVOKE CREATE ON DATABASE %I FROM %I, PUBLIC',
                    current_database(), role);
        END IF;
    END LOOP;

    -- An event trigger runs its function as the role whose statement fires it, the owner too.
    SELECT evtname, proname, proowner INTO each
    FROM pg_event_trigger JOIN pg_proc ON pg_proc.oid = evtfoid
    WHERE pg_has_role(service, proowner, 'MEMBER') OR pg_has_role(reader, proowner, 'MEMBER');
    IF FOUND THEN
        RAISE EXCEPTION 'the function % of the event trigger % belongs to the service or the reader',
            quote_ident(each.proname), quote_ident(each.evtname);
    END IF;

    -- Only a member of the owner can give what the owner has.
    IF NOT pg_has_role(owner, 'USAGE') THEN
        EXECUTE format('GRANT %I TO %I', owner, current_user);
        is_lent := true;
    END IF;

    FOR schema IN SELECT jsonb_array_elements_text(names -> 'schemas') LOOP
        IF to_regnamespace(quote_ident(schema)) IS NULL THEN
            EXECUTE format('CREATE SCHEMA %I AUTHORIZATION %I', schema, owner);
        END IF;
        space := to_regnamespace(quote_ident(schema));
        EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO %I', schema, owner);
        EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I, %I', schema, service, reader);
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I, %I', schema, service, reader);
        IF has_schema_privilege(service, space, 'CREATE')
            OR has_schema_privilege(reader, space, 'CREATE')
        THEN
            RAISE EXCEPTION 'the service, the reader or everybody may create tables in the schema %',
                quote_ident(schema)
                USING HINT = format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', schema);
        END IF;

        -- What the owner makes from now on.
        FOREACH kind IN ARRAY ARRAY['TABLES', 'SEQUENCES'] LOOP
            EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I REVOKE ALL ON %s FROM %I, %I',
                owner, schema, kind, service, reader);
            EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT %s ON %s TO %I',
                owner, schema,
                CASE kind WHEN 'TABLES' THEN 'SELECT, INSERT, UPDATE, DELETE' ELSE 'USAGE' END,
                kind, service);
        END LOOP;
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON TABLES TO %I',
            owner, schema, reader);

        -- What there is. How far the schema has come is for the service to read, not to write.
        FOR each IN
            SELECT class.oid, class.relname, pg_get_userbyid(class.relowner) AS belongs_to,
                CASE class.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS what,
                EXISTS (
                    SELECT FROM jsonb_array_elements(names -> 'tracking') AS place
                    WHERE place ->> 0 = schema AND place ->> 1 = class.relname
                ) AS is_tracking
            FROM pg_class AS class
            WHERE class.relnamespace = space AND class.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            ORDER BY class.relname
        LOOP
            IF each.belongs_to IN (service, reader)
                OR (each.is_tracking AND each.belongs_to <> owner)
            THEN
                RAISE EXCEPTION '%.% belongs to %, not to %', quote_ident(schema),
                    quote_ident(each.relname), quote_ident(each.belongs_to), quote_ident(owner)
                    USING HINT = format('ALTER TABLE %I.%I OWNER TO %I; so for each of its tables.',
                        schema, each.relname, owner);
            END IF;
            CONTINUE WHEN each.belongs_to <> owner;
            EXECUTE format('REVOKE ALL ON %s %I.%I FROM %I, %I',
                each.what, schema, each.relname, service, reader);
            EXECUTE format('GRANT %s ON %s %I.%I TO %I',
                CASE
                    WHEN each.what = 'SEQUENCE' THEN 'USAGE'
                    WHEN each.is_tracking THEN 'SELECT'
                    ELSE 'SELECT, INSERT, UPDATE, DELETE'
                END,
                each.what, schema, each.relname, service);
            IF each.what = 'SEQUENCE' THEN
                IF has_sequence_privilege(service, each.oid, 'UPDATE')
                    OR has_sequence_privilege(reader, each.oid, 'USAGE, UPDATE')
                THEN
                    RAISE EXCEPTION 'more than it should is granted on %.%, to PUBLIC or by a membership',
                        quote_ident(schema), quote_ident(each.relname)
                        USING HINT = format('REVOKE ALL ON SEQUENCE %I.%I FROM PUBLIC',
                            schema, each.relname);
                END IF;
                CONTINUE;
            END IF;
            EXECUTE format('GRANT SELECT ON TABLE %I.%I TO %I', schema, each.relname, reader);
            IF has_table_privilege(service, each.oid, 'TRUNCATE, REFERENCES, TRIGGER')
                OR has_table_privilege(reader, each.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
                OR (each.is_tracking
                    AND has_table_privilege(service, each.oid, 'INSERT, UPDATE, DELETE'))
                -- A right on one column is enough.
                OR has_any_column_privilege(service, each.oid, 'REFERENCES')
                OR has_any_column_privilege(reader, each.oid, 'INSERT, UPDATE, REFERENCES')
                OR (each.is_tracking
                    AND has_any_column_privilege(service, each.oid, 'INSERT, UPDATE'))
            THEN
                RAISE EXCEPTION 'more than it should is granted on %.%, to PUBLIC or by a membership',
                    quote_ident(schema), quote_ident(each.relname)
                    USING HINT = format('REVOKE ALL ON TABLE %I.%I FROM PUBLIC', schema, each.relname);
            END IF;

            -- The owner of a function can replace it, and it runs with the rights of its caller.
            SELECT proname INTO runs
            FROM pg_depend JOIN pg_proc ON refclassid = 'pg_proc'::regclass AND refobjid = pg_proc.oid
            WHERE (pg_has_role(service, proowner, 'MEMBER') OR pg_has_role(reader, proowner, 'MEMBER'))
                AND (classid, objid) IN (
                    SELECT 'pg_trigger'::regclass, t.oid FROM pg_trigger AS t WHERE tgrelid = each.oid
                    UNION ALL SELECT 'pg_attrdef'::regclass, a.oid FROM pg_attrdef AS a
                    WHERE adrelid = each.oid
                    UNION ALL SELECT 'pg_constraint'::regclass, c.oid FROM pg_constraint AS c
                    WHERE conrelid = each.oid
                    UNION ALL SELECT 'pg_rewrite'::regclass, r.oid FROM pg_rewrite AS r
                    WHERE ev_class = each.oid
                    UNION ALL SELECT 'pg_policy'::regclass, p.oid FROM pg_policy AS p
                    WHERE polrelid = each.oid
                    UNION ALL SELECT 'pg_class'::regclass, indexrelid FROM pg_index
                    WHERE indrelid = each.oid
                );
            IF FOUND THEN
                RAISE EXCEPTION 'the function % that %.% uses belongs to the service or the reader',
                    quote_ident(runs), quote_ident(schema), quote_ident(each.relname)
                    USING HINT = format('ALTER FUNCTION %I OWNER TO %I', runs, owner);
            END IF;
        END LOOP;
    END LOOP;

    IF is_lent THEN
        EXECUTE format('REVOKE %I FROM %I', owner, current_user);
    END IF;
END
$grants$;
