#include "tidemark/rules/yaml.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/base/limits.h"

static tm_arena *arena;
static tm_diagnostics all;
static tm_document source;

static void setup(void)
{
    arena = tm_arena_new(256 << 20);
}

static void teardown(void)
{
    tm_arena_free_all(arena);
}

TestSuite(yaml, .init = setup, .fini = teardown);

static tm_yaml_node *parsed(const char *text)
{
    tm_yaml_node *root;
    source = (tm_document){.name = "f", .text = tm_slice_of(text)};
    tm_status status = tm_yaml_parse(arena, &source, &all, &root);
    cr_assert_eq(status, TM_OK, "%s", all.items[0].message);
    return root;
}

static void refused(const char *text, uint32_t line, uint32_t column, const char *message)
{
    tm_yaml_node *root;
    all = (tm_diagnostics){0};
    source = (tm_document){.name = "f", .text = tm_slice_of(text)};
    cr_assert_eq(tm_yaml_parse(arena, &source, &all, &root), TM_REJECT, "%s is taken", text);
    cr_assert_null(root);
    cr_assert(strstr(all.items[0].message, message), "%s: %s", text, all.items[0].message);
    cr_assert(all.items[0].line == line && all.items[0].column == column, "%s: %u:%u", text, all.items[0].line,
              all.items[0].column);
}

Test(yaml, makes_a_tree_that_knows_its_places)
{
    tm_yaml_node *root = parsed("a: 1\nb:\n  - x\n  - {c: 'd'}\ne:\nf: ~\ng: 'null'\nh: !file key\n");
    cr_assert_eq(root->kind, TM_YAML_MAP);
    cr_assert_eq(root->count, 6);
    tm_yaml_node *a = tm_yaml_get(root, "a");
    cr_assert(tm_slice_equal_text(a->text, "1") && a->start == 3 && a->end == 4);
    cr_assert(tm_slice_equal_text(a->key->text, "a") && a->key->start == 0);
    tm_yaml_node *b = tm_yaml_get(root, "b");
    cr_assert(b->kind == TM_YAML_LIST && b->count == 2);
    cr_assert(tm_slice_equal_text(b->first->text, "x"));
    cr_assert_eq(b->first->next->kind, TM_YAML_MAP);
    cr_assert(tm_slice_equal_text(tm_yaml_get(b->first->next, "c")->text, "d"));
    cr_assert_eq(tm_yaml_get(b->first->next, "c")->style, TM_YAML_SINGLE_QUOTED);
    cr_assert(tm_yaml_is_null(tm_yaml_get(root, "e")));
    cr_assert(tm_yaml_is_null(tm_yaml_get(root, "f")));
    cr_assert_not(tm_yaml_is_null(tm_yaml_get(root, "g")));
    cr_assert_not(tm_yaml_is_null(b));
    cr_assert(tm_yaml_is_null(NULL));
    cr_assert_null(tm_yaml_get(root, "z"));
    cr_assert_null(tm_yaml_get(a, "a"));
    cr_assert_null(tm_yaml_get(NULL, "a"));
    cr_assert(tm_slice_equal_text(tm_yaml_get(root, "h")->tag, "!file"));
    cr_assert_null(parsed(""));
    cr_assert_null(parsed("# nothing\n"));
    cr_assert_eq(parsed("k:\t a\nq: 'who ?'\n? l\n: what? :\n")->count, 3); /* a '?' alone only behind the tab */
}

Test(yaml, reads_texts_of_many_pieces)
{
    tm_buffer text;
    tm_buffer_init(&text, 1 << 16);
    tm_buffer_append_text(&text, "quoted: '");
    for (int i = 0; i < 200; i++) {
        tm_buffer_append_text(&text, "''x");
    }
    tm_buffer_append_text(&text, "'\nfolded: >-\n");
    for (int i = 0; i < 200; i++) {
        tm_buffer_append_text(&text, "  ab\n");
    }
    tm_yaml_node *root = parsed(tm_buffer_text(&text));
    cr_assert_eq(tm_yaml_get(root, "quoted")->text.length, 400);
    cr_assert_eq(tm_yaml_get(root, "folded")->text.length, 599);
    cr_assert_eq(memcmp(tm_yaml_get(root, "quoted")->text.data, "'x'x", 4), 0);
    cr_assert_eq(memcmp(tm_yaml_get(root, "folded")->text.data, "ab ab", 5), 0);
    tm_buffer_done(&text);
}

Test(yaml, refuses_what_hostile_files_live_on)
{
    refused("a: &x 1\nb: 2\n", 1, 7, "anchors and aliases");
    refused("a: 1\nb: *x\n", 2, 4, "anchors and aliases");
    refused("a: &x [1]\n", 1, 7, "anchors and aliases");
    refused("a: &x {b: 1}\n", 1, 7, "anchors and aliases");
    refused("a: !x [1]\n", 1, 7, "takes no tag");
    refused("<<: {a: 1}\n", 1, 1, "merge keys");
    refused("a: 1\nb: 2\na: 3\n", 3, 1, "'a' is given twice");
    refused("[a]: 1\n", 1, 1, "a key must be a plain text");
    refused("'': 1\n", 1, 2, "a key must be a plain text");
    refused("a: 1\n---\nb: 1\n", 2, 1, "more than one document");
    refused("a: [1,\nb: c\n", 2, 1, "not YAML");
    refused("a: b: c\n", 1, 5, "not YAML");
    refused("a: \xff\n", 1, 1, "not UTF-8");
    refused("a: 1\n? b:\t :1\n", 2, 5, "a tab after ':'");
    refused("?\n b: \t-\n", 2, 5, "a tab after ':'");
    refused("[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]\n", 1, 17, "nested too deeply");
    tm_yaml_node *root;
    source = (tm_document){.name = "f", .text = {"a: \0b", 5}};
    all = (tm_diagnostics){0};
    cr_assert_eq(tm_yaml_parse(arena, &source, &all, &root), TM_REJECT);
    cr_assert_str_eq(all.items[0].message, "the file holds a NUL byte");
    cr_assert_eq(all.items[0].column, 4);
}

Test(yaml, is_bounded)
{
    size_t size = TM_PACK_FILE_MAX + 1;
    char *text = malloc(size + 1);
    memset(text, ' ', size);
    text[size] = '\0';
    refused(text, 1, 1, "more than 1048576 bytes");
    for (size_t i = 0; i < size; i++) {
        text[i] = i % 2 ? '1' : ',';
    }
    text[0] = '[';
    text[3 * TM_YAML_ENTRIES_MAX] = '\0';
    tm_yaml_node *root;
    all = (tm_diagnostics){0};
    source = (tm_document){.name = "f", .text = tm_slice_of(text)};
    cr_assert_eq(tm_yaml_parse(arena, &source, &all, &root), TM_REJECT);
    cr_assert_str_eq(all.items[0].message, "too many entries in one list or map");
    /* Many short lists in one: the sum is bounded too. */
    size_t used = 0;
    text[used++] = '[';
    while (used < size - 64) {
        used += (size_t)snprintf(text + used, 64, "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],");
    }
    text[used] = '\0';
    all = (tm_diagnostics){0};
    source = (tm_document){.name = "f", .text = tm_slice_of(text)};
    cr_assert_eq(tm_yaml_parse(arena, &source, &all, &root), TM_REJECT);
    cr_assert_str_eq(all.items[0].message, "the file has too many entries");
    free(text);
    tm_arena *small = tm_arena_new(1);
    source = (tm_document){.name = "f", .text = TM_SLICE_LITERAL("a: 1")};
    all = (tm_diagnostics){0};
    cr_assert_eq(tm_yaml_parse(small, &source, &all, &root), TM_FATAL);
    tm_arena_free_all(small);
}

/* Finds `needle` in the scalar's text and in the source: both must be the same place. */
static void aligned(const char *text, const char *needle, const char *in_source)
{
    tm_yaml_node *node = tm_yaml_get(parsed(text), "k");
    char scalar[512];
    snprintf(scalar, sizeof scalar, "%.*s", (int)node->text.length, node->text.data);
    const char *found = strstr(scalar, needle);
    cr_assert_not_null(found, "%s", scalar);
    size_t offset = tm_yaml_offset(&source, node, (size_t)(found - scalar));
    cr_assert_eq(offset, (size_t)(strstr(text, in_source) - text), "%s: at '%s'", text, text + offset);
}

Test(yaml, finds_a_place_of_the_text_in_the_source)
{
    aligned("k: a b  x > 1\n", "x", "x >");
    aligned("k: a b\n   c\n   x > 1\n", "x", "x >");
    aligned("k: 'it''s ''x'' here'\n", "here", "here");
    aligned("k: 'a\n  b\n\n  x y'\n", "x", "x y");
    aligned("k: \"a \\\"b\\\" \\u00e9\\x41\\U0001F600 \\\n   x y\"\n", "x", "x y");
    aligned("k: \"tab\\tx y\"\n", "x", "x y");
    aligned("k: |\n  a\n    b\n  x y\n", "x", "x y");
    aligned("k: >-\n  a\n  b\n\n  x y\n", "x", "x y");
    aligned("k: |2\n    a\n    x y\n", "x", "x y");
    aligned("k: |\n  first\n", "first", "first");
    aligned("k: 'first'\n", "first", "first");
    tm_yaml_node *node = tm_yaml_get(parsed("k: abc\n"), "k");
    cr_assert_eq(tm_yaml_offset(&source, node, 3), 6);
    cr_assert_eq(tm_yaml_offset(&source, node, 99), 6, "beyond the text is its end");
    tm_yaml_node other = *node;
    other.text = TM_SLICE_LITERAL("axc");
    cr_assert_eq(tm_yaml_offset(&source, &other, 2), 3, "what cannot be aligned stands at the beginning");
}
