#include "tidemark/adapters/system/zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tidemark/adapters/system/files.h"

/* Letters, digits, '_', '-', '+' in parts divided by single '/': no dots, so no way out of the directory. */
static bool name_valid(tm_slice name)
{
    bool part_begun = false;
    if (name.data == NULL || name.length == 0 || name.length > TM_ZONE_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.length; i++) {
        char c = name.data[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                    c == '-' || c == '+';
        if (!word && (c != '/' || !part_begun)) {
            return false;
        }
        part_begun = word;
    }
    return part_begun;
}

tm_status tm_zone_load(tm_slice name, const tm_zone **ret_zone, tm_error *error)
{
    const char *directory = getenv("TZDIR");
    char path[4096];
    char text[TM_ZONE_NAME_MAX + 1];
    char *bytes = NULL;
    size_t length = 0;
    tm_zone *zone = NULL;
    tm_error inner = {.what = ""};
    *ret_zone = NULL;
    if (!name_valid(name)) {
        tm_fail(error, TM_REJECT, "'%.*s' is no name of a time zone", (int)(name.length < 64 ? name.length : 64),
                name.data != NULL ? name.data : "");
        tm_error_hint(error, "write an IANA name such as Europe/Berlin, or UTC");
        return TM_REJECT;
    }
    if (tm_slice_equal_text(name, "UTC")) {
        *ret_zone = tm_zone_utc();
        return TM_OK;
    }
    memcpy(text, name.data, name.length);
    text[name.length] = '\0';
    if (directory == NULL || directory[0] == '\0') {
        directory = "/usr/share/zoneinfo";
    }
    int written = snprintf(path, sizeof(path), "%s/%s", directory, text);
    if (written < 0 || (size_t)written >= sizeof(path)) {
        return tm_fail(error, TM_REJECT, "TZDIR is too long");
    }
    tm_status status = tm_file_read(path, TM_ZONE_FILE_MAX, &bytes, &length, &inner);
    if (status == TM_REJECT) {
        tm_fail(error, TM_REJECT, "there is no time zone '%s': %s", text, inner.what);
        if (access(directory, R_OK | X_OK) != 0) {
            tm_error_hint(error, "no zone files are installed: install the package tzdata, or set TZDIR");
        } else {
            tm_error_hint(error, "write an IANA name such as Europe/Berlin, or UTC");
        }
    } else if (status != TM_OK) {
        tm_fail(error, status, "%s", inner.what);
    } else {
        status = tm_zone_parse((tm_slice){bytes, length}, text, &zone, error);
        *ret_zone = zone;
    }
    free(bytes);
    return status;
}

void tm_zone_unload(const tm_zone *zone)
{
    if (zone != NULL && zone != tm_zone_utc()) {
        /* made by tm_zone_parse above, and const only for its readers */
        tm_zone *own = (tm_zone *)(uintptr_t)zone;
        tm_zone_free(own);
    }
}
