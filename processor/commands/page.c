#include "tidemark/commands/page.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>

#include "tidemark/commands/embedded.h"

/* The page with the figures in it: JSON inside a script element must not end it. */
static bool put_page(const char *name, tm_buffer *page, tm_slice json)
{
    static const char marker[] = "id=\"data\">null<";
    const tm_embedded *file = NULL;
    for (uint32_t i = 0; (file = tm_embedded_at(i)) != NULL; i++)
        if (strcmp(file->name, name) == 0)
            break;
    const char *at = file ? memmem(file->text.data, file->text.length, marker, sizeof marker - 1) : NULL;
    if (!at)
        return false;
    size_t before = (size_t)(at - file->text.data) + sizeof "id=\"data\">" - 1;
    tm_buffer_append(page, file->text.data, before);
    for (size_t i = 0; i < json.length; i++)
        if (json.data[i] == '<')
            tm_buffer_append_text(page, "\\u003c");
        else
            tm_buffer_append_char(page, json.data[i]);
    before += sizeof "null" - 1;
    tm_buffer_append(page, file->text.data + before, file->text.length - before);
    return !page->overflowed;
}

int tm_page_write(const tm_command *command, const char *path, const char *name, tm_slice json)
{
    tm_buffer page;
    tm_buffer_init(&page, SIZE_MAX / 4);
    bool whole = put_page(name, &page, json);
    FILE *file = whole ? fopen(path, "wb") : NULL;
    int status = EX_OK;
    if (!whole)
        status = tm_cli_say(command, EX_OSERR, "out of memory");
    else if (!file)
        status = tm_cli_say(command, EX_CANTCREAT, "%s cannot be created: %s", path, strerror(errno));
    if (file) {
        bool written = fwrite(page.data, 1, page.length, file) == page.length;
        if (fclose(file) != 0 || !written)
            status = tm_cli_say(command, EX_IOERR, "%s cannot be written: %s", path, strerror(errno));
    }
    tm_buffer_done(&page);
    return status;
}
