"""What a database needs so that SQL written for Redshift means there what it means in Redshift.

* VARCHAR lengths are counted in bytes: the cast that PostgreSQL applies on assignment is replaced.
* A boolean has no cast to text (the rows decide: an empty table does not show it).
* Trailing blanks do not count in comparisons, grouping and joining of VARCHAR: operators of its own.
* Functions and catalog views of Redshift's names; names longer than PostgreSQL keeps are shown whole.
"""

from __future__ import annotations

SETUP = r"""
CREATE SCHEMA redshift;
GRANT USAGE ON SCHEMA redshift TO PUBLIC;

CREATE FUNCTION redshift.sized(value varchar, typmod int, explicit boolean) RETURNS varchar
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  IF typmod < 4 OR octet_length(value) <= typmod - 4 THEN RETURN value; END IF;
  IF explicit THEN RETURN convert_from(substring(convert_to(value, 'UTF8') FROM 1 FOR typmod - 4), 'UTF8'); END IF;
  RAISE EXCEPTION USING ERRCODE = '22001',
    MESSAGE = format('value too long for type character varying(%s)', typmod - 4);
END $$;
SET allow_system_table_mods = on;
UPDATE pg_cast SET castfunc = 'redshift.sized(varchar,int,boolean)'::regprocedure
 WHERE castsource = 'varchar'::regtype AND casttarget = 'varchar'::regtype;
CREATE FUNCTION redshift.no_text(value boolean) RETURNS varchar LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = '42846', MESSAGE = 'cannot cast type boolean to character varying';
END $$;
UPDATE pg_cast SET castfunc = 'redshift.no_text(boolean)'::regprocedure
 WHERE castsource = 'boolean'::regtype AND casttarget IN ('varchar'::regtype, 'text'::regtype);
RESET allow_system_table_mods;

CREATE FUNCTION redshift.eq(a varchar, b varchar) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT
  AS $$ SELECT rtrim(a, ' ') OPERATOR(pg_catalog.=) rtrim(b, ' ') $$;
CREATE FUNCTION redshift.ne(a varchar, b varchar) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT
  AS $$ SELECT rtrim(a, ' ') OPERATOR(pg_catalog.<>) rtrim(b, ' ') $$;
CREATE FUNCTION redshift.lt(a varchar, b varchar) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT
  AS $$ SELECT rtrim(a, ' ') OPERATOR(pg_catalog.<) rtrim(b, ' ') $$;
CREATE FUNCTION redshift.le(a varchar, b varchar) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT
  AS $$ SELECT rtrim(a, ' ') OPERATOR(pg_catalog.<=) rtrim(b, ' ') $$;
CREATE FUNCTION redshift.gt(a varchar, b varchar) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT
  AS $$ SELECT rtrim(a, ' ') OPERATOR(pg_catalog.>) rtrim(b, ' ') $$;
CREATE FUNCTION redshift.ge(a varchar, b varchar) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT
  AS $$ SELECT rtrim(a, ' ') OPERATOR(pg_catalog.>=) rtrim(b, ' ') $$;
CREATE FUNCTION redshift.compare(a varchar, b varchar) RETURNS int LANGUAGE plpgsql IMMUTABLE STRICT
  AS $$ BEGIN RETURN bttextcmp(rtrim(a, ' '), rtrim(b, ' ')); END $$;
CREATE FUNCTION redshift.hash(a varchar) RETURNS int LANGUAGE plpgsql IMMUTABLE STRICT
  AS $$ BEGIN RETURN hashtext(rtrim(a, ' ')); END $$;
CREATE OPERATOR redshift.= (FUNCTION = redshift.eq, LEFTARG = varchar, RIGHTARG = varchar,
  COMMUTATOR = OPERATOR(redshift.=), NEGATOR = OPERATOR(redshift.<>), HASHES, MERGES);
CREATE OPERATOR redshift.<> (FUNCTION = redshift.ne, LEFTARG = varchar, RIGHTARG = varchar,
  COMMUTATOR = OPERATOR(redshift.<>), NEGATOR = OPERATOR(redshift.=));
CREATE OPERATOR redshift.< (FUNCTION = redshift.lt, LEFTARG = varchar, RIGHTARG = varchar);
CREATE OPERATOR redshift.<= (FUNCTION = redshift.le, LEFTARG = varchar, RIGHTARG = varchar);
CREATE OPERATOR redshift.> (FUNCTION = redshift.gt, LEFTARG = varchar, RIGHTARG = varchar);
CREATE OPERATOR redshift.>= (FUNCTION = redshift.ge, LEFTARG = varchar, RIGHTARG = varchar);
CREATE OPERATOR CLASS redshift.varchar_ops DEFAULT FOR TYPE varchar USING btree AS
  OPERATOR 1 redshift.<, OPERATOR 2 redshift.<=, OPERATOR 3 redshift.=, OPERATOR 4 redshift.>=,
  OPERATOR 5 redshift.>, FUNCTION 1 redshift.compare(varchar, varchar);
CREATE OPERATOR CLASS redshift.varchar_ops DEFAULT FOR TYPE varchar USING hash AS
  OPERATOR 1 redshift.=, FUNCTION 1 redshift.hash(varchar);

CREATE FUNCTION redshift.getdate() RETURNS timestamp LANGUAGE sql STABLE
  AS $$ SELECT date_trunc('second', now() AT TIME ZONE 'UTC') $$;
CREATE FUNCTION redshift.json_parse(value varchar) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT value::jsonb $$;
CREATE FUNCTION redshift.json_serialize(value jsonb) RETURNS varchar LANGUAGE sql IMMUTABLE
  AS $$ SELECT value::varchar $$;
CREATE FUNCTION redshift.len(value varchar) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT length(value::text) $$;
CREATE FUNCTION redshift.sha2(value varchar, bits int) RETURNS varchar LANGUAGE sql IMMUTABLE AS $$
  SELECT encode(CASE bits WHEN 224 THEN sha224(b) WHEN 384 THEN sha384(b) WHEN 512 THEN sha512(b) ELSE sha256(b) END,
    'hex')::varchar FROM (SELECT convert_to(value, 'UTF8') AS b) $$;
CREATE FUNCTION redshift.sha2(value bytea, bits int) RETURNS varchar LANGUAGE sql IMMUTABLE
  AS $$ SELECT encode(sha256(value), 'hex')::varchar $$;
CREATE FUNCTION redshift.to_hex(value bytea) RETURNS varchar LANGUAGE sql IMMUTABLE
  AS $$ SELECT encode(value, 'hex')::varchar $$;
CREATE FUNCTION redshift.from_hex(value varchar) RETURNS bytea LANGUAGE sql IMMUTABLE
  AS $$ SELECT decode(value, 'hex') $$;
CREATE FUNCTION redshift.pg_last_copy_count() RETURNS bigint LANGUAGE sql STABLE
  AS $$ SELECT coalesce(nullif(current_setting('redshift.last_copy_count', true), ''), '0')::bigint $$;

CREATE TABLE redshift.long_names (short name PRIMARY KEY, long varchar NOT NULL);
GRANT SELECT, INSERT ON redshift.long_names TO PUBLIC;
CREATE VIEW redshift.svv_columns AS
SELECT c.table_catalog::varchar, c.table_schema::varchar, coalesce(t.long, c.table_name::varchar) AS table_name,
  coalesce(n.long, c.column_name::varchar) AS column_name, c.ordinal_position::int, c.is_nullable::varchar,
  CASE c.data_type WHEN 'jsonb' THEN 'super' WHEN 'bytea' THEN 'binary varying' ELSE c.data_type END::varchar
    AS data_type,
  c.character_maximum_length::int, c.numeric_precision::int, c.numeric_scale::int
FROM information_schema.columns c
LEFT JOIN redshift.long_names t ON t.short = c.table_name::name
LEFT JOIN redshift.long_names n ON n.short = c.column_name::name
WHERE c.table_schema NOT IN ('pg_catalog', 'information_schema', 'redshift');
CREATE VIEW redshift.svv_tables AS
SELECT t.table_catalog::varchar, t.table_schema::varchar,
  coalesce(n.long, t.table_name::varchar) AS table_name, t.table_type::varchar
FROM information_schema.tables t LEFT JOIN redshift.long_names n ON n.short = t.table_name::name
WHERE t.table_schema NOT IN ('pg_catalog', 'information_schema', 'redshift');
GRANT SELECT ON redshift.svv_columns, redshift.svv_tables TO PUBLIC;
"""

SEARCH_PATH = '"$user", public, redshift'
