CREATE TABLE odd (
    id text PRIMARY KEY,
    self text NOT NULL,
    class text,
    schema text,
    copy text,
    json jsonb,
    model_config text,
    model_dump_it text,
    _x text,
    "two words" text,
    "1st" text,
    str int NOT NULL,
    list int[],
    dt date,
    date date,
    "uuid" uuid,
    "größe" int,
    "ﬁ" text
);
COMMENT ON COLUMN odd.date IS 'A "day" or ''none'', with \n and 😀';
