/* What only Kafka's adapters have. */
static bool check_admin(const contract_world *port, contract_report *report)
{
    (void)port;
    (void)report;
    return end_of(port->context, "x", 0) < 0;
}
static const contract_entry kafka_checks[] = {{"admin", check_admin}};
