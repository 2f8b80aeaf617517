/* The account record reader over any bytes; what it accepts is kept as facts and read back. The first byte of an input
   chooses between Kafka and files. */
#include <stdlib.h>
#include <string.h>

#include "tidemark/codec/accountrecord.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static tm_account_record_reader *reader;
    static tm_account_record record;
    static tm_facts_draft again;
    if (reader == NULL)
        reader = tm_account_record_reader_new(&(tm_user_key){{1}});
    if (size == 0)
        return 0;
    char detail[TM_DEAD_DETAIL];
    tm_dead_reason reason;
    tm_slice value = {(const char *)data + 1, size - 1};
    bool files = (data[0] & 1) != 0;
    tm_status status = tm_account_record_read(reader, value, files ? (tm_slice){NULL, 0} : tm_slice_of("acme"), files,
                                              &record, &reason, detail);
    if (status == TM_FATAL || (status == TM_REJECT) != (reason != TM_DEAD_NONE) || strlen(detail) >= TM_DEAD_DETAIL ||
        !tm_utf8_valid(tm_slice_of(detail)))
        abort();
    if (status != TM_OK)
        return 0;
    tm_heap *heap = tm_heap_new(0);
    tm_facts *facts = tm_facts_new(heap, &record.facts);
    tm_facts_read(facts, &again);
    if (again.owner_count != record.facts.owner_count || again.attribute_count != record.facts.attribute_count ||
        again.champion_count != record.facts.champion_count || !tm_slice_equal(again.plan, record.facts.plan))
        abort();
    tm_heap_free_all(heap);
    return 0;
}
