/* Time zones from the machine's zone files. */
#ifndef TIDEMARK_ADAPTERS_SYSTEM_ZONE_H
#define TIDEMARK_ADAPTERS_SYSTEM_ZONE_H

#include "tidemark/base/calendar.h"

enum { TM_ZONE_NAME_MAX = 128, TM_ZONE_FILE_MAX = 1 << 20 };

/* The zone of an IANA name ("Europe/Berlin") from $TZDIR, or else /usr/share/zoneinfo. "UTC" needs no file. The name is
   letters, digits, '_', '-', '+' in parts divided by single '/'; anything else never reaches the file system. TM_OK:
   released with tm_zone_unload. TM_REJECT: no such zone (the hint tells whether zone files are installed at all), or
   its file is damaged. TM_FATAL without memory. */
tm_status tm_zone_load(tm_slice name, const tm_zone **ret_zone, tm_error *error);
void tm_zone_unload(const tm_zone *zone); /* NULL and UTC are allowed */

#endif
