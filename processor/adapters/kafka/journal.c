#include "tidemark/adapters/kafka/journal.h"

#include <stdlib.h>

#include "tidemark/adapters/kafka/reader.h"
#include "tidemark/base/crashpoint.h"

struct tm_kafka_journal {
    tm_kafka_connection connection;
    tm_kafka_reader reader;
    bool open;
};

static void close_journal(void *context)
{
    tm_kafka_journal *journal = context;
    TM_CRASH_POINT("journal_close");
    if (journal->open)
        tm_kafka_reader_end(&journal->reader);
    journal->open = false;
}

static tm_status open_journal(void *context, int32_t partition, int64_t back, bool *ret_whole, tm_error *error)
{
    tm_kafka_journal *journal = context;
    close_journal(journal);
    tm_kafka_connection *connection = &journal->connection;
    tm_status status = connection->handle ? TM_OK : tm_kafka_reader_connect(connection, error);
    const char *topic = connection->config->outputs[TM_TOPIC_JOURNAL];
    int64_t first = 0, end = 0;
    if (status == TM_OK)
        status = tm_kafka_reader_bounds(connection, topic, partition, TM_KAFKA_ASK_MS, &first, &end, error);
    int64_t from = back < 0 || back > end - first ? first : end - back;
    *ret_whole = from == first;
    if (status == TM_OK)
        status = tm_kafka_reader_begin(&journal->reader, connection, topic, partition, from, end, error);
    journal->open = status == TM_OK;
    TM_CRASH_POINT("journal_opened");
    return status;
}

static tm_status next_line(void *context, tm_slice *ret_line, tm_error *error)
{
    tm_kafka_journal *journal = context;
    const rd_kafka_message_t *message = NULL;
    *ret_line = (tm_slice){0};
    if (!journal->open)
        return TM_OK;
    tm_status status = tm_kafka_reader_next(&journal->reader, TM_KAFKA_ASK_MS, &message, error);
    TM_CRASH_POINT("journal_line");
    if (status == TM_OK && message)
        *ret_line = (tm_slice){message->payload ? message->payload : "", message->len};
    return status;
}

tm_status tm_kafka_journal_new(const tm_kafka_config *config, tm_kafka_journal **ret_journal, tm_error *error)
{
    tm_kafka_journal *journal = calloc(1, sizeof *journal);
    if (!journal)
        return tm_fail(error, TM_FATAL, "no memory to read the journal");
    journal->connection = (tm_kafka_connection){.config = config, .role = "journal"};
    *ret_journal = journal;
    return TM_OK;
}

tm_journal_source tm_kafka_journal_port(tm_kafka_journal *journal)
{
    return (tm_journal_source){journal, open_journal, next_line, close_journal};
}

void tm_kafka_journal_free(tm_kafka_journal *journal)
{
    if (!journal)
        return;
    close_journal(journal);
    /* A handle that hangs still points at the connection: it keeps its memory. */
    if (!journal->connection.handle || tm_kafka_connection_close(&journal->connection, TM_KAFKA_LEAVE_MS))
        free(journal);
}
