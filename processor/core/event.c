#include "tidemark/core/event.h"

tm_value tm_event_property(const tm_event *event, tm_slice name)
{
    for (uint32_t i = 0; i < event->property_count; i++)
        if (tm_slice_equal(event->properties[i].name, name))
            return event->properties[i].value;
    return tm_value_null();
}
