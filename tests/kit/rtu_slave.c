/* A Modbus slave on a serial line, by libmodbus: unit 5, 200 holding registers, register n holds n. Usage: rtu_slave DEVICE BAUD */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <modbus.h>

int main(int argc, char **argv) {
    modbus_t *ctx = argc == 3 ? modbus_new_rtu(argv[1], atoi(argv[2]), 'N', 8, 1) : NULL;
    modbus_mapping_t *map = modbus_mapping_new(0, 0, 200, 0);
    uint8_t query[MODBUS_RTU_MAX_ADU_LENGTH];
    if (ctx == NULL || map == NULL || modbus_set_slave(ctx, 5) == -1 || modbus_connect(ctx) == -1) {
        fprintf(stderr, "rtu_slave: %s\n", modbus_strerror(errno));
        return 1;
    }
    for (int n = 0; n < 200; n++) map->tab_registers[n] = n;
    puts("ready");
    fflush(stdout);
    for (;;) {
        int size = modbus_receive(ctx, query);
        if (size > 0) modbus_reply(ctx, query, size, map);
        else if (size == -1 && errno != EMBBADCRC && errno != ETIMEDOUT) break;
    }
    return 0;
}
