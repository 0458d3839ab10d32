/** Shows notifications: JupyterLab's `Notification`, or a replacement in tests. */

import type { Notification } from '@jupyterlab/apputils';

export type Notifier = Pick<typeof Notification, 'emit' | 'update' | 'dismiss'>;
