import './base.css';
import './cells.css';
import './panel.css';
import './results.css';
import './values.css';
